import { Hono } from 'hono'
import type { Log } from '../log.ts'
import type { Metrics } from '../metrics.ts'
import { type ApiDeps, createApi } from './api.ts'
import { type SecurityTxt, securityTxt, securityTxtPath } from './security-txt.ts'

/** What the control plane needs of the rest of the gate. */
export interface AdminDeps extends Omit<ApiDeps, 'log'> {
  readonly metrics: Pick<Metrics, 'render'>
  readonly log: Log
  /** The public half of the keys that assertions are signed with (RFC 7517). */
  readonly jwks: () => Promise<unknown>
  /** What keeps the gate from deciding, if anything does; throws while the store cannot be asked. */
  readonly trouble: () => Promise<string | undefined>
  /** Left out where nobody is named. */
  readonly security?: SecurityTxt | undefined
}

/** A verifier may keep the key set this long; a rotated key stays in it for much longer. */
const jwksMaxAgeSeconds = 300

/** The control plane: for a private network, never on the data plane's port. */
export function createAdminApp({ metrics, jwks, trouble, security, ...api }: AdminDeps): Hono {
  const { log } = api
  const app = new Hono()

  app.use(async function noStore(c, next) {
    await next()
    if (!c.res.headers.has('cache-control')) c.header('Cache-Control', 'no-store')
  })

  app.get('/livez', (c) => c.json({ ok: true }))

  app.get('/readyz', async (c) => {
    let found: string | undefined
    try {
      found = await trouble()
      if (found === undefined) return c.json({ ok: true })
    } catch (fault) {
      found = String(fault)
    }
    log.warn({ event: 'not_ready', error: found })
    return c.json({ ok: false, error: 'This node cannot decide: see its log' }, 503)
  })

  app.get('/metrics', async (c) => {
    const { contentType, body } = await metrics.render()
    return c.body(body, 200, { 'content-type': contentType })
  })

  app.get('/.well-known/jwks.json', async (c) => {
    return c.json(await jwks(), 200, {
      'content-type': 'application/jwk-set+json',
      'cache-control': `public, max-age=${jwksMaxAgeSeconds}`,
    })
  })

  if (security !== undefined) {
    app.get(securityTxtPath, (c) => c.text(securityTxt(security, api.clock.now())))
  }

  app.route('/', createApi(api))

  app.notFound((c) => c.json({ error: 'Not Found' }, 404))
  app.onError((fault, c) => {
    log.error({ event: 'admin_fault', path: c.req.path, error: String(fault) })
    return c.json({ error: 'Service temporarily unavailable: try again' }, 503)
  })
  return app
}
