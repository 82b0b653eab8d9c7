import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../src/clock.ts'
import type { Admission } from '../src/service/admission.ts'
import type { Authenticator, Verdict } from '../src/service/authenticate.ts'
import type { RateLimit } from '../src/service/ports.ts'
import { refuseDenial, refuseUndecided } from './challenge.ts'
import type { GateEnv } from './context.ts'
import type { DecisionReport, FaultReport } from './report.ts'

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
export function authenticate(deps: AuthenticateDeps) {
  return createMiddleware<GateEnv>(async function checkStanding(c, next) {
    const digest = c.get('digest')
    const remoteAddress = c.get('remoteAddress')
    const refused = await decideOn(c, deps, () => deps.admission.admit(digest, remoteAddress))
    return refused ?? tooManyCalls(c, deps) ?? next()
  })
}

/** Sets the principal, or answers. */
async function decideOn(
  c: Context<GateEnv>,
  deps: AuthenticateDeps,
  ask: () => Verdict | Promise<Verdict>,
) {
  const { authenticator, clock, report, onFault } = deps
  const startedAt = clock.monotonic()
  let verdict: Verdict
  try {
    verdict = await ask()
  } catch (fault) {
    onFault?.(c, fault)
    return refuseUndecided(c)
  }
  if (!verdict.allowed) {
    report?.(c, 'auth', verdict, clock.monotonic() - startedAt)
    return refuseDenial(c, verdict)
  }
  c.set('principal', verdict.principal)
  c.set('clearance', {
    stillHolds: verdict.stillHolds,
    renew: () => decideOn(c, deps, () => authenticator.authorise(c.get('digest'), [])),
  })
  return undefined
}

function tooManyCalls(c: Context<GateEnv>, { rate, report }: AuthenticateDeps) {
  const { tokenId, rate: own } = c.get('principal')
  const waitMs = rate?.take(tokenId, own)?.waitMs ?? 0
  if (waitMs === 0) return undefined
  const denial = { allowed: false, reason: 'too-many-calls', tokenId, waitMs } as const
  report?.(c, 'auth', denial)
  return refuseDenial(c, denial)
}
