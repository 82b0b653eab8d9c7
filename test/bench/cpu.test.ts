import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished, test } from 'vitest'
import {
  addUpTree,
  cpuMicrosOf,
  listTree,
  parseMachineBusy,
  parseStat,
} from '../../bench/processes/cpu.ts'

test('a process may have any name: what comes after it is read all the same', () => {
  const after =
    'S 41 42 42 0 -1 4194560 7 0 0 0 250 31 12 3 20 0 4 0 1849724 3133440 382 18446744073709551615'
  for (const name of ['(node)', '(a b)', '(S 1 2) 3)', '()']) {
    expect(parseStat(`42 ${name} ${after}`)).toEqual({
      parent: 41,
      ticks: 281,
      endedChildrenTicks: 15,
    })
  }
})

test('a tree is everything below its roots, each process once, with what has ended there', () => {
  const times = (parent: number, ticks: number, endedChildrenTicks = 0) => ({
    ...{ parent, ticks, endedChildrenTicks },
  })
  const processes = new Map([
    [1, times(0, 1_000)],
    [10, times(1, 5, 7)],
    [11, times(10, 20)],
    [12, times(11, 40)],
    [20, times(1, 300)],
  ])
  expect(listTree(processes, [10, 12, 99])).toEqual([10, 11, 12])
  expect(addUpTree(processes, [10])).toBe(72)
  expect(addUpTree(processes, [10, 11])).toBe(72)
  expect(addUpTree(processes, [20, 99])).toBe(300)
})

test('the machine is busy with what its cores did not idle or wait in', () => {
  const text = 'cpu  100 20 30 4000 500 6 7 800 90 0\ncpu0 50 10 15 2000 250 3 3 400 45 0\n'
  expect(parseMachineBusy(text)).toBe(163)
})

test('a program is charged at least what it says itself that it used, from the operating system', async () => {
  const source =
    'while (process.cpuUsage().user < 200_000); console.log("done"); setInterval(() => {}, 1e6)'
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  // Counted in ticks of ten milliseconds, each rounded down.
  expect(cpuMicrosOf([child.pid ?? 0])).toBeGreaterThanOrEqual(180_000)
})
