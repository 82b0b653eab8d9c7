import { spawnSync } from 'node:child_process'
import { afterEach, expect, test, vi } from 'vitest'
import { createLog } from '../src/log.ts'

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
  const child = log
    .child({ event: 'x', password: 'secret' })
    .child({ stage: 'auth', left: undefined })
  child.info({ event: 'unseen' })
  child.warn({})
  child.error({ reason: 'a "b"\n\u2028\ud800', ms: Number.NaN, tokenId: null })
  const level = (name: string) => ({ level: name, time: expect.any(String) })
  const common = { event: 'x', password: '[Redacted]', stage: 'auth' }
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { ...level('warn'), ...common },
    { ...level('error'), ...common, reason: 'a "b"\n\u2028\ud800', ms: null, tokenId: null },
  ])
  expect(lines.join('').split('\n').length).toBe(3)
})

test.each([
  ['exits', 'process.exit()'],
  ['has nothing left to do', ''],
  ['fails', 'throw new Error()'],
])('no line is lost when the process %s right after it', (_, ending) => {
  const source = `
    import { createLog } from '${new URL('../src/log.ts', import.meta.url)}'
    const log = createLog('info')
    log.info({ line: 1 })
    setImmediate(() => {
      for (const line of [2, 3]) log.info({ line })
      ${ending}
    })`
  const node = ['--input-type=module', '--eval', source]
  const { stdout } = spawnSync(process.execPath, node, { encoding: 'utf8' })
  const lines = stdout.trim().split('\n')
  expect(lines.map((line) => JSON.parse(line).line)).toEqual([1, 2, 3])
})

test('nor when much is waiting, and the output is a pipe', () => {
  const source = `
    import { createLog } from '${new URL('../src/log.ts', import.meta.url)}'
    const log = createLog('info')
    const write = (count) => { for (let i = 0; i < count; i++) log.info({ pad: 'x'.repeat(180) }) }
    write(250)
    setImmediate(() => { write(100); throw new Error() })`
  const node = [process.execPath, '--input-type=module', '--eval', source]
  // A pipe takes 64 KiB, and what is still being written when its process ends is lost; a socket would take more.
  const { stdout } = spawnSync('sh', ['-c', '"$0" "$@" | cat', ...node], { encoding: 'utf8' })
  expect(stdout.trim().split('\n').length).toBe(350)
})

test.each([
  ['its disk is full', '> /dev/full'],
  ['nobody reads it any more', '| true'],
])('the process goes on when %s, and ends well', (_, output) => {
  const source = `
    import { createLog } from '${new URL('../src/log.ts', import.meta.url)}'
    const log = createLog('info')
    const pad = 'x'.repeat(180)
    let turns = 0
    const timer = setInterval(() => {
      for (let i = 0; i < 400; i++) log.info({ pad })
      if (++turns < 20) return
      clearInterval(timer)
      console.error('went on')
    }, 10)`
  const node = [process.execPath, '--input-type=module', '--eval', source]
  const { stderr } = spawnSync(
    'bash',
    ['-c', `set -o pipefail; "$0" "$@" ${output} && echo ended >&2`, ...node],
    {
      encoding: 'utf8',
    },
  )
  expect(stderr).toBe('went on\nended\n')
})

test('lines that a slow reader leaves no room for are lost, and the log says how much of them', () => {
  const source = `
    import { createLog } from '${new URL('../src/log.ts', import.meta.url)}'
    const log = createLog('info')
    for (let i = 0; i < 100_000; i++) log.info({ pad: 'x'.repeat(180) })`
  const node = [process.execPath, '--input-type=module', '--eval', source]
  const { stdout } = spawnSync('sh', ['-c', '"$0" "$@" | (sleep 0.2; cat)', ...node], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const lines = stdout.trim().split('\n')
  const last = JSON.parse(lines.pop() ?? '')
  const lineBytes = (lines[0]?.length ?? 0) + 1
  expect(last).toMatchObject({ level: 'warn', event: 'log_lost' })
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
  const times = ['12:00:00.000', '12:00:00.000', '12:00:00.001', '11:00:00.000', '12:00:00.001']
  for (const time of times) {
    vi.setSystemTime(new Date(`2026-03-01T${time}Z`))
    log.info({ event: 'x' })
  }
  expect(lines.map((line) => JSON.parse(line).time)).toEqual(
    times.map((time) => `2026-03-01T${time}Z`),
  )
})
