import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Decision, Principal } from '../src/core/decide.ts'
import type { MaybePromise } from '../src/core/maybe-promise.ts'
import type { PresentedToken } from '../src/service/ports/presented-token.ts'
import type { Refusal } from './challenge.ts'

/** A decision that is acted on later than it was made. */
export interface RenewableClearance {
  /** To be asked in the turn of the event loop in which the last byte goes to the upstream. */
  stillHolds(): boolean
  /** Decides anew; answers what the client is told if it may not be acted on. */
  renew(): Answer
}

/** One request on its way through the checks: what each step finds out, for those behind it. */
export interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly requestId: string
  /** Where the client is, as far as those can be trusted who say so; set by `bearer`. */
  remoteAddress: string
  /** The token, set by `bearer`. Unproven until `authenticate`. */
  presented: PresentedToken
  /** Who the token was issued to, set by `authenticate` and again, for what is sent, by `sender`. */
  principal: Principal
  /** Whether what was decided may still be acted on, set with the principal. */
  clearance: RenewableClearance
  /** The domains (A-labels) that the message claims to be from, set by `sender`. */
  senders: readonly string[]
  /** The body's bytes, exactly those that were checked, set by `sender`. None once the upstream has them. */
  body: readonly Buffer[]
}

/** What the client is told, if a step goes no further. */
export type Answer = MaybePromise<Refusal | undefined>

/** One check. At once where everything that it needs is at hand. */
export type Step<X extends Exchange = Exchange> = (exchange: X) => Answer

export function openExchange(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  requestId: string,
): Exchange {
  const unknown = undefined as never
  return {
    incoming,
    outgoing,
    requestId,
    remoteAddress: unknown,
    presented: unknown,
    principal: unknown,
    clearance: unknown,
    senders: unknown,
    body: unknown,
  }
}

/** Told of every decision; the gateway logs and counts it. `ms` is how long the decision took. */
export type DecisionReport = (
  exchange: Exchange,
  stage: 'auth' | 'message',
  decision: Decision,
  ms?: number,
) => void

/** Told why the gate could not find out. */
export type FaultReport = (exchange: Exchange, fault: unknown) => void
