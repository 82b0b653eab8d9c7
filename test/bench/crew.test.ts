import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { createCrew } from '../../bench/processes/crew.ts'

/** Nothing that the benchmark started is there when it has ended. */

const withChild = ['-c', 'sleep 1000 & echo $!; wait']

test('what a program has started ends with it, and so does its folder', async () => {
  const crew = createCrew()
  const folder = crew.folder('parent')
  const program = crew.program({ command: 'sh', args: withChild, folder })
  const child = await program.until(() => readPid(join(folder, 'output.log')))
  expect(isAlive(child)).toBe(true)
  await crew.end()
  await untilGone(child)
  expect(existsSync(folder)).toBe(false)
})

test('what cannot be ended does not keep the others', async () => {
  const crew = createCrew()
  const program = crew.program({ command: 'sleep', args: ['1000'], folder: crew.folder('one') })
  crew.atEnd(() => {
    throw new Error('it hangs')
  })
  await expect(crew.end()).rejects.toThrow('not everything could be ended')
  expect(isAlive(program.pid)).toBe(false)
})

test('a program that does not start says what it wrote', async () => {
  const crew = createCrew()
  onTestFinished(() => crew.end())
  const args = ['-c', 'echo no such thing >&2; exit 3']
  const program = crew.program({ command: 'sh', args, folder: crew.folder('failing') })
  await expect(program.untilListening(1)).rejects.toThrow('no such thing')
  const missing = crew.program({
    command: 'no-such-program',
    args: [],
    folder: crew.folder('none'),
  })
  await expect(missing.untilListening(1)).rejects.toThrow('no-such-program did not start')
})

test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  'a benchmark that is ended by %s ends what it started, servers of the tests too',
  async (signal) => {
    const harness = startHarness()
    const [words] = await once(harness.stdout as NodeJS.ReadableStream, 'data')
    const [first = 0, second = 0] = String(words).trim().split(' ').map(Number)
    expect([isAlive(first), isAlive(second)]).toEqual([true, true])
    harness.kill(signal)
    await once(harness, 'exit')
    await Promise.all([untilGone(first), untilGone(second)])
  },
)

/** A process with a crew that has a program and a server that is not one of its programs; prints their pids. */
function startHarness(): ChildProcess {
  const source = `
    import { spawn } from 'node:child_process'
    import { createCrew } from './bench/processes/crew.ts'
    const crew = createCrew()
    const program = crew.program({ command: 'sleep', args: ['1000'], folder: crew.folder('x') })
    const server = spawn('sleep', ['1000'], { stdio: 'ignore' })
    crew.atEnd(() => server.kill('SIGKILL'))
    console.log(program.pid, server.pid)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

function readPid(file: string): number | undefined {
  return Number(readFileSync(file, 'utf8').trim()) || undefined
}

/** A process that was killed is there until its parent, or init, has taken note. */
async function untilGone(pid: number) {
  while (isAlive(pid)) await delay(10)
}

function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^\d+ \(.*\) Z/.test(stat)
  } catch {
    return false
  }
}
