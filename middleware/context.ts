import type { HttpBindings } from '@hono/node-server'
import type { Principal } from '../src/core/decide.ts'
import type { Digest } from '../src/core/token.ts'
import type { HttpUpstream } from './forward.ts'
import type { MatchedRoute } from './routes.ts'

/** What the middlewares of this folder hand on to each other, and to the handler behind them. */
export interface GateEnv {
  Bindings: HttpBindings
  Variables: {
    /** Digest of the presented token, set by `bearer`. Unproven until `authenticate`. */
    digest: Digest
    /** Who the token was issued to, set by `authenticate` and again, for what is sent, by `sender`. */
    principal: Principal
    /** The domains (A-labels) that the message claims to be from, set by `sender`. */
    senders: readonly string[]
    /** The body's bytes, exactly those that were checked, set by `sender` and `body`. */
    body: readonly Buffer[]
    /** The gateway's own: which request, by which route, to which Email API. */
    requestId: string
    matched: MatchedRoute
    upstream: HttpUpstream
  }
}
