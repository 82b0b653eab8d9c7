import type { HttpBindings } from '@hono/node-server'
import type { Principal } from '../src/core/decide.ts'
import type { Digest } from '../src/core/token.ts'
import type { HttpUpstream } from './forward.ts'
import type { MatchedRoute } from './routes.ts'

/** A decision that is acted on later than it was made. */
export interface RenewableClearance {
  /** To be asked in the turn of the event loop in which the last byte goes to the upstream. */
  stillHolds(): boolean
  /** Decides anew; answers what the client is told if it may not be acted on. */
  renew(): Promise<Response | undefined>
}

/** What the middlewares of this folder hand on to each other, and to the handler behind them. */
export interface GateEnv {
  Bindings: HttpBindings
  Variables: {
    /** Where the client is, as far as those can be trusted who say so; set by `bearer`. */
    remoteAddress: string
    /** Digest of the presented token, set by `bearer`. Unproven until `authenticate`. */
    digest: Digest
    /** Who the token was issued to, set by `authenticate` and again, for what is sent, by `sender`. */
    principal: Principal
    /** Whether what was decided may still be acted on, set with the principal. */
    clearance: RenewableClearance
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
