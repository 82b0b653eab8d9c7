import { expect, test } from 'vitest'
import { createAuth } from '../../smtp/auth.ts'
import type { SenderCheck } from '../../smtp/sender.ts'
import type { Session } from '../../smtp/session.ts'
import { settle } from '../../src/core/maybe-promise.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length

test('a failure whose client waits for its reply does not keep the process from ending', async () => {
  const denial = { allowed: false, reason: 'unknown-token', failures: 9 } as const
  const senders = { authenticate: async () => denial, deny: () => denial }
  const authenticate = createAuth({
    usernames: ['api'],
    senders: senders as unknown as SenderCheck,
  })
  const session = { failures: 0, closed: false } as Session
  const before = timers()
  let hasAnswered = false
  const answered = () => {
    hasAnswered = true
  }
  const auth = { method: 'PLAIN', username: 'api', password: 'x' } as never
  void settle(() => authenticate(session, auth), answered, answered)
  await turn()
  expect(hasAnswered).toBe(false)
  expect(timers()).toBe(before)
})
