import { OpenAPIHono } from '@hono/zod-openapi'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Caller } from '../service/callers.ts'
import type { ManagedAccount } from '../service/managed-account.ts'
import type { ManagedDomains } from '../service/managed-domains.ts'
import type { ManagedTokens } from '../service/managed-tokens.ts'
import { addAccounts, addResources } from './account.ts'
import { addAccountAccesses } from './account-accesses.ts'
import { addApiTokens } from './api-tokens.ts'
import { addAuditEvents } from './audit-events.ts'
import { type ApiEnv, type CallerDeps, requireCaller, requireOwnAccount } from './caller.ts'
import { addDomains } from './domains.ts'
import { notFound, unavailable } from './errors.ts'
import { addExplain } from './explain.ts'
import { accountPaths, currentPaths } from './generation.ts'
import { createOperations } from './operation.ts'
import { referencePage } from './reference-page.ts'
import { tokenShape } from './token-json.ts'

/** The services as a token may use them. */
export interface Management {
  readonly findCaller: (bearerToken: string, origin: string) => Promise<Caller | undefined>
  readonly tokens: ManagedTokens
  readonly domains: ManagedDomains
  readonly account: ManagedAccount
}

export interface ApiDeps {
  readonly management: Management
  readonly limits: Omit<CallerDeps, 'findCaller'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Pick<Log, 'error'>
  readonly version: string
}

/** The management API, as existing clients speak it, and its description. */
export function createApi({ management, limits, clock, log, version }: ApiDeps) {
  const { findCaller, tokens, domains, account } = management
  const app = new OpenAPIHono<ApiEnv>()
  const { openAPIRegistry: registry } = app
  registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' })
  registry.registerComponent('securitySchemes', 'apiToken', {
    type: 'apiKey',
    in: 'header',
    name: 'Api-Token',
  })

  app.onError((fault, c) => {
    log.error({ event: 'api_fault', method: c.req.method, error: String(fault) })
    return unavailable(c)
  })
  app.use('/api/*', requireCaller({ findCaller, ...limits }))
  app.use('/api/accounts/:account_id/*', requireOwnAccount)

  const operation = createOperations(app)
  addAccounts({ operation, account })
  for (const generation of [currentPaths, accountPaths]) {
    const shape = tokenShape(generation)
    const deps = { operation, generation, shape }
    addApiTokens({ ...deps, tokens, clock })
    addAccountAccesses({ ...deps, tokens })
    addDomains({ ...deps, domains })
    addResources({ ...deps, account })
    addAuditEvents({ ...deps, account })
    addExplain({ ...deps, account })
  }
  app.all('/api/*', notFound)

  const description = describe(app, version)
  const page = referencePage(description)
  app.get('/openapi.json', (c) => c.json(description))
  app.get('/docs', (c) => {
    c.header('Content-Security-Policy', "default-src 'none'; style-src 'unsafe-inline'")
    return c.html(page)
  })
  return app
}

function describe(app: OpenAPIHono<ApiEnv>, version: string) {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'Postern management API',
      version,
      description:
        'Tokens, their permissions and the domains they send from, as clients of Mailtrap speak it. Paths with and without an account differ only in what they call a domain.',
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiToken: [] }],
  })
}

export type ApiDescription = ReturnType<typeof describe>
