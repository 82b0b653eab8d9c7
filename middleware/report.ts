import type { Context } from 'hono'
import type { Decision } from '../src/core/decide.ts'
import type { GateEnv } from './context.ts'

/** Told of every decision; the gateway logs and counts it. `ms` is how long the decision took. */
export type DecisionReport = (
  c: Context<GateEnv>,
  stage: 'auth' | 'message',
  decision: Decision,
  ms?: number,
) => void
