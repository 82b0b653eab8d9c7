/** Loads what `postern serve` loads, and does nothing: how much of a start nobody can save. */
import '../../src/admin/app.ts'
import '../../src/cli/run.ts'
import '../../src/control-plane.ts'
import '../../src/dev.ts'
import '../../src/gateway.ts'
import '../../src/primary.ts'
import '../../src/worker.ts'
import { serveAgent } from '../processes/agent.ts'

const calls = {
  isThere: (_: undefined) => true,
}
export type ImportOnly = typeof calls

serveAgent(calls)
