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
