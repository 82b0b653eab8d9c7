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

/** Told why the gate could not find out. */
export type FaultReport = (c: Context<GateEnv>, fault: unknown) => void
