import type { Clock } from '../src/clock.ts'
import { andThen, type MaybePromise, settle } from '../src/core/maybe-promise.ts'
import type { Admission } from '../src/service/admission.ts'
import type { Authenticator, Verdict } from '../src/service/authenticate.ts'
import type { RateLimit } from '../src/service/ports/limits.ts'
import { type Refusal, refuseDenial, refuseUndecided } from './challenge.ts'
import type { Answer, DecisionReport, Exchange, FaultReport, Step } from './exchange.ts'

export interface AuthenticateDeps {
  readonly authenticator: Authenticator
  readonly admission: Pick<Admission, 'admit'>
  /** Left out: a token may call as often as it likes. */
  readonly rate?: RateLimit | undefined
  readonly clock: Pick<Clock, 'monotonic'>
  readonly report?: DecisionReport
  readonly onFault?: FaultReport
}

/** Is the presented token alive? Asked before the body is read, so that nobody uploads 50 MB to be told no. */
export function authenticate({
  authenticator,
  admission,
  rate,
  clock,
  report,
  onFault,
}: AuthenticateDeps): Step {
  /** Sets the principal, or answers. */
  function decideOn(exchange: Exchange, ask: () => MaybePromise<Verdict>): Answer {
    const startedAt = clock.monotonic()
    function conclude(verdict: Verdict): Refusal | undefined {
      if (!verdict.allowed) {
        report?.(exchange, 'auth', verdict, clock.monotonic() - startedAt)
        return refuseDenial(exchange, verdict)
      }
      exchange.principal = verdict.principal
      exchange.clearance = {
        stillHolds: verdict.stillHolds,
        renew: () => decideOn(exchange, () => authenticator.authorise(exchange.presented, [])),
      }
      return undefined
    }
    return settle(ask, conclude, (fault) => {
      onFault?.(exchange, fault)
      return refuseUndecided(exchange)
    })
  }

  function tooManyCalls(exchange: Exchange): Refusal | undefined {
    const { tokenId, rate: own } = exchange.principal
    const waitMs = rate?.take(tokenId, own)?.waitMs ?? 0
    if (waitMs === 0) return undefined
    const denial = { allowed: false, reason: 'too-many-calls', tokenId, waitMs } as const
    report?.(exchange, 'auth', denial)
    return refuseDenial(exchange, denial)
  }

  return function checkStanding(exchange) {
    const { presented, remoteAddress } = exchange
    const refused = decideOn(exchange, () => admission.admit(presented, remoteAddress))
    return andThen(refused, (refusal) => refusal ?? tooManyCalls(exchange))
  }
}
