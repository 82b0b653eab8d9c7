import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { Clock } from '../src/clock.ts'
import type { Authenticator, Verdict } from '../src/service/authenticate.ts'
import { refuseDenial, refuseUndecided } from './challenge.ts'
import type { GateEnv } from './context.ts'
import type { DecisionReport, FaultReport } from './report.ts'

export interface AuthenticateDeps {
  readonly authenticator: Authenticator
  readonly clock: Pick<Clock, 'monotonic'>
  readonly report?: DecisionReport
  readonly onFault?: FaultReport
}

/** Is the presented token alive? Asked before the body is read, so that nobody uploads 50 MB to be told no. */
export function authenticate(deps: AuthenticateDeps) {
  return createMiddleware<GateEnv>(async function checkStanding(c, next) {
    return (await authenticateRequest(c, deps)) ?? next()
  })
}

/** Sets the principal, or answers. */
async function authenticateRequest(c: Context<GateEnv>, deps: AuthenticateDeps) {
  const { authenticator, clock, report, onFault } = deps
  const startedAt = clock.monotonic()
  let verdict: Verdict
  try {
    verdict = await authenticator.authorise(c.var.digest, [])
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
    renew: () => authenticateRequest(c, deps),
  })
  return undefined
}
