import { createMiddleware } from 'hono/factory'
import type { Clock } from '../src/clock.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import { refuseDenial, refuseUndecided } from './challenge.ts'
import type { GateEnv } from './context.ts'
import type { DecisionReport } from './report.ts'

export interface AuthenticateDeps {
  readonly authenticator: Authenticator
  readonly clock: Pick<Clock, 'monotonic'>
  readonly report?: DecisionReport
  /** Told why the gate could not find out. */
  readonly onFault?: (fault: unknown) => void
}

/** Is the presented token alive? Asked before the body is read, so that nobody uploads 50 MB to be told no. */
export function authenticate({ authenticator, clock, report, onFault }: AuthenticateDeps) {
  return createMiddleware<GateEnv>(async function checkStanding(c, next) {
    const startedAt = clock.monotonic()
    let decision: Awaited<ReturnType<Authenticator['authorise']>>
    try {
      decision = await authenticator.authorise(c.var.digest, [])
    } catch (fault) {
      onFault?.(fault)
      return refuseUndecided(c)
    }
    if (!decision.allowed) {
      report?.(c, 'auth', decision, clock.monotonic() - startedAt)
      return refuseDenial(c, decision)
    }
    c.set('principal', decision.principal)
    return next()
  })
}
