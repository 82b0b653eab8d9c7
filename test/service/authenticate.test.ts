import { expect, test } from 'vitest'
import { digestToken } from '../../src/core/token.ts'
import { createAuthenticator, Undecided } from '../../src/service/authenticate.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'

/** An authenticator over a store, whose trust the test gives and takes. */
function createNode() {
  const lookup = createMemoryLookup()
  // A store answers with a promise.
  lookup.before = async () => {}
  const clock = createFakeClock()
  const trust = { hasLease: true, believed: () => true as boolean }
  const authenticator = createAuthenticator({
    lookup,
    clock,
    trust: { mayDecide: () => trust.hasLease, believes: () => trust.believed() },
    tokenPrefix: 'pst_',
  })
  const ask = (bearerToken: string, ...senders: string[]) =>
    authenticator.authorise(digestToken(bearerToken), senders)
  return { lookup, clock, trust, authenticator, ask }
}

test('without a lease nothing is decided, neither way, and the store is not asked', async () => {
  const { lookup, trust, ask } = createNode()
  lookup.allow('a', ['acme.test'])
  trust.hasLease = false
  for (const bearerToken of ['a', 'nobody']) {
    await expect(async () => ask(bearerToken, 'acme.test')).rejects.toThrow(Undecided)
  }
  expect(lookup.questions).toBe(0)
})

test('a lease that ends while the store is asked decides nothing', async () => {
  const { lookup, trust, ask } = createNode()
  lookup.allow('a', ['acme.test'])
  lookup.after = () => {
    trust.hasLease = false
  }
  await expect(ask('a', 'acme.test')).rejects.toThrow(Undecided)
  trust.hasLease = true
  await expect(ask('nobody')).rejects.toThrow(Undecided)
})

test('what is not believed is read again three times, and decided on when it is', async () => {
  const { lookup, trust, ask } = createNode()
  lookup.allow('a', ['acme.test'])
  let doubts = 3
  trust.believed = () => doubts-- <= 0
  expect(await ask('a')).toMatchObject({ allowed: true })
  expect(lookup.questions).toBe(4)
})

test('records that keep changing are no denial and no leave', async () => {
  const { lookup, trust, ask } = createNode()
  lookup.allow('a', ['acme.test'])
  trust.believed = () => false
  await expect(ask('a', 'acme.test')).rejects.toThrow(Undecided)
  await expect(ask('nobody')).rejects.toThrow(Undecided)
})

test('a leave holds until its token ends, its lease is over, or a record of it is no longer true', async () => {
  const { lookup, clock, trust, ask } = createNode()
  lookup.allow('a', ['acme.test'], { expiresAt: clock.now() + 1_000 })
  const verdict = await ask('a', 'acme.test')
  if (!verdict.allowed) throw new Error('refused')
  expect(verdict.stillHolds()).toBe(true)
  trust.hasLease = false
  expect(verdict.stillHolds()).toBe(false)
  trust.hasLease = true
  trust.believed = () => false
  expect(verdict.stillHolds()).toBe(false)
  trust.believed = () => true
  expect(verdict.stillHolds()).toBe(true)
  clock.advance(1_000)
  expect(verdict.stillHolds()).toBe(false)
})

test('an earlier answer is the answer while it holds, and then is asked for anew', async () => {
  const { lookup, trust, authenticator, ask } = createNode()
  lookup.allow('a', ['acme.test'])
  const earlier = await ask('a', 'acme.test')
  if (!earlier.allowed) throw new Error('refused')
  const { questions } = lookup
  const again = () => authenticator.authorise(digestToken('a'), ['acme.test'], earlier)
  expect(again()).toBe(earlier)
  expect(lookup.questions).toBe(questions)

  lookup.revoke('a')
  let doubts = 1
  trust.believed = () => doubts-- <= 0
  expect(await again()).toMatchObject({ allowed: false, reason: 'unknown-token' })
  trust.hasLease = false
  expect(again).toThrow(Undecided)
})

test('whoever hears of no changes asks the store, whatever the earlier answer was', async () => {
  const lookup = createMemoryLookup()
  lookup.allow('a', ['acme.test'])
  const authenticator = createAuthenticator({
    lookup,
    clock: createFakeClock(),
    tokenPrefix: 'pst_',
  })
  const digest = digestToken('a')
  const earlier = await authenticator.authorise(digest, ['acme.test'])
  if (!earlier.allowed) throw new Error('refused')
  lookup.revoke('a')
  const again = await authenticator.authorise(digest, ['acme.test'], earlier)
  expect(again).toMatchObject({ allowed: false, reason: 'unknown-token' })
})

test('a batch is decided domain by domain from one reading of the credential', async () => {
  const { lookup, authenticator } = createNode()
  lookup.allow('a', ['acme.test', 'other.test'])
  const senders = ['acme.test', 'foreign.test', 'acme.test', 'other.test']
  const verdicts = await authenticator.authoriseEach(digestToken('a'), senders)
  expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, false, true, true])
  expect(lookup.questions).toBe(4)
})
