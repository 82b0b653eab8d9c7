import { execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll } from 'vitest'
import { createOutageBench, type OutageBench } from '../helpers/outage-bench.ts'
import { outageRow } from '../helpers/outage-table.ts'
import { type RunningProgram, runProgram } from '../helpers/program.ts'
import { storeOutage } from './store-outage.contract.ts'

/** The file is there and cannot be written; one gate lives through all of it without a restart. */

let bench: OutageBench
let gate: RunningProgram

beforeAll(async () => {
  bench = await createOutageBench()
  gate = await bench.place.start('serve')
}, 60_000)
afterAll(() => bench.close())

const stage = () => ({ bench, gate })

let holder: DatabaseSync

storeOutage(outageRow('SQLite file locked by another process'), stage, {
  isReadable: true,
  begin() {
    holder = new DatabaseSync(join(bench.place.folder, 'data/postern.db'), { timeout: 5_000 })
    holder.exec('begin immediate')
  },
  end() {
    holder.exec('rollback')
    holder.close()
  },
})

/** No file may grow beyond so many bytes: to a program it is a full disk. */
const limitFiles = (pid: number, bytes: string) =>
  execFileSync('prlimit', ['--pid', String(pid), `--fsize=${bytes}:unlimited`])

storeOutage(outageRow('SQLite disk full'), stage, {
  isReadable: true,
  begin: () => limitFiles(gate.ready.pid, '0'),
  end: () => limitFiles(gate.ready.pid, 'unlimited'),
  postern: (...args) =>
    runProgram('prlimit', ['--fsize=0', process.execPath, resolve('src/postern.js'), ...args], {
      cwd: bench.place.folder,
      env: bench.place.environment,
    }),
})
