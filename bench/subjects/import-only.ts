/** Loads what `postern serve` loads, and ends: how much of a start nobody can save. */
import '../../src/cli/run.ts'
import '../../src/control-plane.ts'
import '../../src/gateway.ts'
import '../../src/admin/app.ts'
import '../../src/dev.ts'
import '../../src/primary.ts'
import '../../src/worker.ts'
