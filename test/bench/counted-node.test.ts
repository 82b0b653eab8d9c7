import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import { runBenchmark } from '../../bench/benchmark.ts'
import { plans } from '../../bench/plan.ts'
import { createCountedNode, missingForCounting } from '../../bench/processes/counted-node.ts'
import { createCrew } from '../../bench/processes/crew.ts'
import { instructions } from '../../bench/workloads/instructions.ts'

async function countLoop(times: number): Promise<number> {
  const crew = createCrew()
  onTestFinished(() => crew.end())
  const node = createCountedNode(crew, 'counted')
  const source = `let s = 0; for (let i = 0; i < ${times}; i++) s += i % 7; process.exitCode = s > 0 ? 7 : 0`
  const program = node.crew.program({
    command: process.execPath,
    // When other threads have compiled something, and with it the count, differs each time.
    args: ['--single-threaded', '-e', source],
    folder: crew.folder('loop'),
  })
  expect(await once(program.process, 'exit')).toEqual([7, null])
  return node.instructions()
}

async function runWithoutPrograms() {
  const { PATH } = process.env
  onTestFinished(() => {
    process.env.PATH = PATH
  })
  process.env.PATH = '/nowhere'
  const { sections } = await runBenchmark({
    plan: plans.smoke,
    workloads: [instructions],
    isWanted: () => true,
    onProgress() {},
  })
  return sections[0]
}

test('where nothing can count, a run says what is missing, and does not fail', async () => {
  const section = await runWithoutPrograms()
  expect(section?.failure).toBeUndefined()
  expect(section?.findings?.missing).toEqual([
    { name: 'QEMU', reason: expect.stringMatching(/^no qemu-\w+ and no cc; Debian has them in/) },
  ])
})

const crew = createCrew()
const missing = missingForCounting(crew)
await crew.end()

// QEMU is no part of what the tests need: most machines are without.
if (missing === undefined) {
  test('where QEMU is, what a program executes is counted: more for more, and the same for the same', async () => {
    const short = await countLoop(10_000_000)
    const long = await countLoop(30_000_000)
    expect(long - short).toBeGreaterThan(20_000_000)
    const again = await countLoop(10_000_000)
    expect(Math.abs(again - short) / short).toBeLessThan(0.05)
  }, 120_000)
}
