import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../clock.ts'
import { readCredential } from '../core/credential-fields.ts'
import { accessLevelNumber } from '../core/grants.ts'
import type { Log } from '../log.ts'
import type { IssuedToken } from '../service/issue.ts'
import type { Caller, Managed, ManagedTokens } from '../service/managed-tokens.ts'
import type { TokenRecord } from '../service/ports.ts'
import {
  badRequest,
  forbidden,
  invalid,
  notFound,
  refused,
  unauthorised,
  unavailable,
} from './errors.ts'
import { pendingBody, stampReceipt } from './receipt.ts'
import { readBody, readCreate, readReset } from './token-requests.ts'

export interface ApiTokensDeps {
  readonly tokens: ManagedTokens
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Log, 'error'>
}

/** The two generations of the vendor's paths differ in what they call a domain. */
type DomainWord = 'sending_domain' | 'domain'

interface ApiEnv {
  Bindings: HttpBindings
  Variables: { caller: Caller; domainWord: DomainWord }
}

/** `/api/api_tokens` and `/api/accounts/{account_id}/api_tokens`, as existing clients speak them. */
export function createApiTokens({ tokens, clock, log }: ApiTokensDeps) {
  const authenticate = createMiddleware<ApiEnv>(async function findCaller(c, next) {
    const { rawHeaders, socket } = c.env.incoming
    const credential = readCredential(rawHeaders)
    if (credential.found === 'several') return badRequest(c, 'More than one credential')
    if (credential.found !== 'one') return unauthorised(c)
    const caller = await tokens.authenticate(credential.bearerToken, socket.remoteAddress ?? '')
    if (caller === undefined) return unauthorised(c)
    const accountId = c.req.param('account_id')
    if (accountId !== undefined && accountId !== String(caller.accountId)) {
      return forbidden(c, 'Account access forbidden')
    }
    c.set('caller', caller)
    c.set('domainWord', accountId === undefined ? 'domain' : 'sending_domain')
    return next()
  })

  const app = new Hono<ApiEnv>()
  app.onError((fault, c) => {
    log.error({ event: 'api_fault', method: c.req.method, error: String(fault) })
    return unavailable(c)
  })
  for (const prefix of ['/api', '/api/accounts/:account_id{[0-9]+}']) {
    const path = `${prefix}/api_tokens`
    app.use(`${path}/*`, authenticate)
    app.use(path, authenticate)
    app.get(path, list).post(create)
    app.get(`${path}/:id{[0-9]{1,15}}`, get).delete(remove)
    app.post(`${path}/:id{[0-9]{1,15}}/reset`, reset)
  }
  return app

  async function list(c: Context<ApiEnv>) {
    const found = await tokens.list(c.var.caller)
    return c.json(found.map((token) => tokenJson(token, c.var.domainWord)))
  }

  async function get(c: Context<ApiEnv>) {
    const token = await tokens.get(c.var.caller, idOf(c))
    return token === undefined ? notFound(c) : c.json(tokenJson(token, c.var.domainWord))
  }

  async function create(c: Context<ApiEnv>) {
    const body = await readBody(c.env.incoming)
    if (!body.ok) return body.tooLarge ? tooLarge(c) : badRequest(c, 'The body is not JSON')
    const request = readCreate(body.value, clock.now())
    if (!request.ok) return invalid(c, request.errors)
    const key = idempotencyKey(c)
    if (key === false) return badRequest(c, 'The Idempotency-Key is malformed')
    return showIssued(c, await tokens.create(c.var.caller, request.value, key))
  }

  async function reset(c: Context<ApiEnv>) {
    const body = await readBody(c.env.incoming)
    if (!body.ok) return body.tooLarge ? tooLarge(c) : badRequest(c, 'The body is not JSON')
    const request = readReset(body.value, clock.now())
    if (!request.ok) return invalid(c, request.errors)
    const key = idempotencyKey(c)
    if (key === false) return badRequest(c, 'The Idempotency-Key is malformed')
    return showIssued(
      c,
      await tokens.reset(c.var.caller, { tokenId: idOf(c), ...request.value }, key),
    )
  }

  async function remove(c: Context<ApiEnv>) {
    const removed = await tokens.remove(c.var.caller, idOf(c))
    if ('denied' in removed) return denied(c, removed.denied)
    if (!removed.done) return refused(c, removed.refusal)
    stampReceipt(c, removed.receipt)
    const pending = pendingBody(removed.receipt)
    if (pending !== undefined) return c.json(pending, 202, { 'retry-after': '1' })
    return removed.value.deleted ? c.body(null, 204) : notFound(c)
  }
}

/** The one answer that shows the secret: also when its change is still on its way to some node. */
function showIssued(c: Context<ApiEnv>, outcome: Managed<IssuedToken>) {
  if ('denied' in outcome) return denied(c, outcome.denied)
  if (!outcome.done) return refused(c, outcome.refusal)
  const { record, bearerToken } = outcome.value
  stampReceipt(c, outcome.receipt)
  const pending = pendingBody(outcome.receipt)
  const shown = { ...tokenJson(record, c.var.domainWord), token: bearerToken }
  return pending === undefined ? c.json(shown) : c.json({ ...shown, ...pending }, 202)
}

function denied(c: Context<ApiEnv>, why: 'not-found' | 'forbidden') {
  return why === 'not-found' ? notFound(c) : forbidden(c)
}

function tooLarge(c: Context) {
  return c.json({ error: 'The body is too large' }, 413)
}

function idOf(c: Context<ApiEnv>): number {
  return Number(c.req.param('id'))
}

/** False when it is there and no key. */
function idempotencyKey(c: Context<ApiEnv>): string | undefined | false {
  const key = c.req.header('idempotency-key')
  return key === undefined || /^[\x21-\x7e]{1,255}$/.test(key) ? key : false
}

/** The vendor's ApiToken: every key always present. */
function tokenJson(token: TokenRecord, domainWord: DomainWord) {
  return {
    resources: token.grants.map(({ resource, level }) => ({
      resource_type: resource.type === 'account' ? 'account' : domainWord,
      resource_id: resource.id,
      access_level: accessLevelNumber[level],
    })),
    id: token.id,
    name: token.name,
    last_4_digits: token.lastFour,
    created_by: token.createdBy,
    expires_at: endsAtJson(token),
  }
}

/** A token in its reset window ends when that does. */
function endsAtJson({ expiresAt, windowEndsAt }: TokenRecord): string | null {
  const ends = [expiresAt, windowEndsAt].filter((at) => at !== null)
  return ends.length === 0 ? null : new Date(Math.min(...ends)).toISOString()
}
