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
