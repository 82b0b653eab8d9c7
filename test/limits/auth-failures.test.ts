import { expect, test } from 'vitest'
import { createAuthFailures } from '../../src/limits/auth-failures.ts'
import { createTurnstile } from '../../src/limits/turnstile.ts'
import { createWindowCounts } from '../../src/limits/window-counts.ts'
import { createAdmission } from '../../src/service/admission.ts'
import { type Authenticator, presentedToken, type Verdict } from '../../src/service/authenticate.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

const rate = { limit: 3, windowMs: 60_000 }

function stage() {
  const clock = createFakeClock()
  const counts = createWindowCounts({ clock, maxKeys: 1_000 })
  return { clock, failures: createAuthFailures(counts, rate, clock) }
}

test('a client may fail so often in a window, and is fresh in the next', () => {
  const { clock, failures } = stage()
  const attempt = () => {
    const waitMs = failures.waitMs('192.0.2.1')
    if (waitMs === 0) failures.add('192.0.2.1')
    return waitMs
  }
  expect([1, 2, 3, 4].map(attempt)).toEqual([0, 0, 0, 60_000])
  expect(failures.waitMs('192.0.2.2')).toBe(0)
  clock.advance(60_000)
  expect(attempt()).toBe(0)
})

test('a network that fails from many addresses is one client too, and its neighbour is not', () => {
  const { failures } = stage()
  for (let i = 1; i <= 24; i++) failures.add(`192.0.2.${i}`)
  expect(failures.waitMs('192.0.2.99')).toBeGreaterThan(0)
  expect(failures.waitMs('198.51.100.1')).toBe(0)
  for (let i = 1; i <= 24; i++) failures.add(`2001:db8:0:${i}::1`)
  expect(failures.waitMs('2001:db8:0:ffff::1')).toBeGreaterThan(0)
  expect(failures.waitMs('2001:db8:1::1')).toBe(0)
})

/** A store that holds its answers back; `live` is in memory, `cold` is live and is not. */
function admissionOver({ atOnce = 1, maxWaiting = 1 } = {}) {
  const { clock, failures } = stage()
  const questions: string[] = []
  const held: (() => void)[] = []
  const principal = { tokenId: 1, accountId: 1, standing: 'active', endsAt: null } as const
  const allowed: Verdict = { allowed: true, principal, stillHolds: () => true }
  const authenticator: Pick<Authenticator, 'authorise' | 'knows'> = {
    knows: ({ digest }) => digest === 'live',
    authorise({ digest }) {
      if (digest === 'live') return allowed
      questions.push(digest)
      return new Promise((resolve) => {
        const verdict: Verdict =
          digest === 'cold' ? allowed : { allowed: false, reason: 'unknown-token' }
        held.push(() => resolve(verdict))
      })
    },
  }
  const turnstile = createTurnstile({ atOnce, maxWaiting, restMs: 0 })
  const admission = createAdmission({ authenticator, failures, turnstile })
  for (let i = 0; i < rate.limit; i++) {
    admission.fail({ allowed: false, reason: 'malformed-token' }, '192.0.2.1')
  }
  const admit = (digest: string, remoteAddress: string) =>
    admission.admit(presentedToken(digest), remoteAddress)
  return { admit, clock, questions, release: () => held.shift()?.() }
}

test('a client whose budget is spent is served at once with a live token that is in memory', () => {
  const { admit, questions } = admissionOver()
  expect(admit('live', '192.0.2.1')).toMatchObject({ allowed: true })
  expect(questions).toEqual([])
})

test('a live token that is not in memory is looked up in its turn, and those beyond the line hear to come back soon', async () => {
  const { admit, questions, release } = admissionOver()
  const [first, cold] = [admit('x', '192.0.2.1'), admit('cold', '192.0.2.1')]
  const late = admit('y', '192.0.2.1')
  expect(late).toMatchObject({ allowed: false, reason: 'too-many-failures', waitMs: 1_000 })
  expect(questions).toEqual(['x'])
  release()
  expect(await first).toMatchObject({ reason: 'too-many-failures', waitMs: 60_000 })
  await expect.poll(() => questions).toEqual(['x', 'cold'])
  release()
  expect(await cold).toMatchObject({ allowed: true })
})

test('others are not kept waiting by a flood', () => {
  const { admit, questions } = admissionOver()
  for (let i = 0; i < 10; i++) void admit(`x${i}`, '192.0.2.1')
  void admit('z', '198.51.100.1')
  expect(questions).toEqual(['x0', 'z'])
})

test('the turnstile lets the next one in when work fails, and never more than it may', async () => {
  const turnstile = createTurnstile({ atOnce: 2, maxWaiting: 10, restMs: 0 })
  let inside = 0
  let most = 0
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, (_, i) =>
      turnstile.pass(async () => {
        inside += 1
        most = Math.max(most, inside)
        await new Promise((resolve) => setImmediate(resolve))
        inside -= 1
        if (i % 2 === 0) throw new Error('no')
        return i
      }),
    ),
  )
  expect(most).toBe(2)
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(6)
  expect(await turnstile.pass(() => 'again')).toBe('again')
})
