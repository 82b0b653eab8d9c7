import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { createLog } from '../src/log.ts'

test('a silent log waits for nothing, not even for the end of the process', () => {
  const before = process.listenerCount('exit')
  createLog('silent').error({ event: 'unheard' })
  expect(process.listenerCount('exit')).toBe(before)
})

test('a field that may hold a secret is censored, and a line is one JSON object with a level and a time', () => {
  const lines: string[] = []
  const log = createLog('info', { write: (line) => lines.push(line) })
  log.info({
    event: 'x',
    token: 'secret',
    password: 'secret',
    authorization: 'secret',
    left: undefined,
  })
  log.debug({ event: 'unseen' })
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    {
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      event: 'x',
      token: '[Redacted]',
      password: '[Redacted]',
      authorization: '[Redacted]',
    },
  ])
})

test('what all lines of a child have in common stands in each of them, and is censored as well', () => {
  const lines: string[] = []
  const log = createLog('warn', { write: (line) => lines.push(line) })
  const common = { event: 'x', password: 'secret' }
  const child = log.child(common).child({ stage: 'auth', left: undefined })
  child.info({ event: 'unseen' })
  child.warn({})
  child.error({ reason: 'why' })
  const inAll = { time: expect.any(String), event: 'x', password: '[Redacted]', stage: 'auth' }
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { level: 'warn', ...inAll },
    { level: 'error', ...inAll, reason: 'why' },
  ])
})

test('a line is one line of JSON, whatever is in its fields', () => {
  const lines: string[] = []
  const log = createLog('info', { write: (line) => lines.push(line) })
  const reason = 'a "b"\r\n\u2028\ud800'
  log.info({ reason, ms: Number.NaN, tokenId: null, '"': 1 })
  const [line = '', ...others] = lines.join('').split('\n')
  expect(others).toEqual([''])
  expect(JSON.parse(line)).toMatchObject({ reason, ms: null, tokenId: null, '"': 1 })
})

/** Of a process that logs. */
function nodeArguments(script: string): string[] {
  const source = `
    import { createLog } from '${new URL('../src/log.ts', import.meta.url)}'
    const log = createLog('info')
    ${script}`
  return ['--input-type=module', '--eval', source]
}

/** `output` is where a shell sends its standard output. */
function runLogging(script: string, output = '') {
  const command = `set -o pipefail; "$0" "$@" ${output}`
  return spawnSync('bash', ['-c', command, process.execPath, ...nodeArguments(script)], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
}

test.each([
  ['exits', 'process.exit()'],
  ['has nothing left to do', ''],
  ['fails', 'throw new Error()'],
])('no line is lost when the process %s right after it', (_, ending) => {
  const { stdout } = runLogging(`
    log.info({ line: 1 })
    setImmediate(() => {
      for (const line of [2, 3]) log.info({ line })
      ${ending}
    })`)
  const lines = stdout.trim().split('\n')
  expect(lines.map((line) => JSON.parse(line).line)).toEqual([1, 2, 3])
})

test('nor when much is waiting, and the output is a pipe', () => {
  const script = `
    const write = (count) => { for (let i = 0; i < count; i++) log.info({ pad: 'x'.repeat(180) }) }
    write(250)
    setImmediate(() => { write(100); throw new Error() })`
  // A pipe takes 64 KiB; a socket would take more.
  const { stdout } = runLogging(script, '| cat')
  expect(stdout.trim().split('\n').length).toBe(350)
})

test.each([
  ["the log's disk is full", '> /dev/full'],
  ['nobody reads the log any more', '| true'],
])('a process goes on when %s, and exits with 0', (_, output) => {
  const script = `
    let turns = 0
    const timer = setInterval(() => {
      for (let i = 0; i < 400; i++) log.info({ pad: 'x'.repeat(180) })
      if (++turns < 20) return
      clearInterval(timer)
      console.error('went on')
    }, 10)`
  const { status, stderr } = runLogging(script, output)
  expect(stderr).toBe('went on\n')
  expect(status).toBe(0)
})

test.each([
  ['exits', 'process.exit(3)'],
  ['has nothing left to do', 'process.exitCode = 3'],
])('a process that %s ends though its reader takes nothing', async (_, ending) => {
  const script = `
    for (let i = 0; i < 10_000; i++) log.info({ pad: 'x'.repeat(180) })
    ${ending}`
  const child = spawn(process.execPath, nodeArguments(script))
  const [status] = await once(child, 'exit')
  expect(status).toBe(3)
})

test('a process that ends waits for a reader that is slow and takes all of it', () => {
  const script = `
    for (let i = 0; i < 10_000; i++) log.info({ pad: 'x'.repeat(180) })
    process.exit()`
  // Reads only when the pipe is full: what was taken in part then is the danger.
  const reader = `const { readSync } = require('node:fs')
    const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
    wait(500)
    let length = 0
    for (;;) {
      wait(50)
      const read = readSync(0, Buffer.alloc(65_536))
      length += read
      if (read === 0) break
    }
    console.log(length)`
  const { stdout } = runLogging(script, `| ${process.execPath} -e '${reader.replaceAll("'", '"')}'`)
  expect(Number(stdout) / 10_000).toBe(
    JSON.stringify({ level: 'info', time: new Date(), pad: 'x'.repeat(180) }).length + 1,
  )
})

test('lines beyond what may wait are lost, and the log says how many bytes', () => {
  const script = `for (let i = 0; i < 100_000; i++) log.info({ pad: 'x'.repeat(180) })`
  // A file takes all of it at the end; of a full pipe each part would be waited for.
  const file = join(mkdtempSync(join(tmpdir(), 'postern-log-')), 'log')
  onTestFinished(() => rmSync(dirname(file), { recursive: true }))
  runLogging(script, `> ${file}`)
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  const last = JSON.parse(lines.pop() ?? '')
  const lineBytes = (lines[0]?.length ?? 0) + 1
  expect(last).toMatchObject({ level: 'error', event: 'log_lost' })
  expect(last.bytes).toBe((100_000 - lines.length) * lineBytes)
  expect(lines.length).toBeGreaterThan(50_000)
})

afterEach(() => {
  vi.useRealTimers()
})

test('each line has the time at which it was written', () => {
  vi.useFakeTimers({ toFake: ['Date'], now: new Date('2026-03-01T12:00:00.000Z') })
  const lines: string[] = []
  const log = createLog('info', { write: (line) => lines.push(line) })
  const times = [
    '12:00:00.000',
    '12:00:00.000',
    '12:00:00.001',
    '11:00:00.000',
    '12:00:00.001',
    '12:00:00.099',
    '12:00:00.100',
    '12:00:01.100',
    '12:00:01.009',
  ]
  for (const time of times) {
    vi.setSystemTime(new Date(`2026-03-01T${time}Z`))
    log.info({ event: 'x' })
  }
  expect(lines.map((line) => JSON.parse(line).time)).toEqual(
    times.map((time) => `2026-03-01T${time}Z`),
  )
})
