import { expect, test } from 'vitest'
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
