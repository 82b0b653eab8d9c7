import { describe, expect, test } from 'vitest'
import { createRecentTokens } from '../../src/cache/recent-tokens.ts'
import { digestToken } from '../../src/core/token.ts'
import {
  type Authenticator,
  type AuthenticatorDeps,
  createAuthenticator,
  Undecided,
} from '../../src/service/authenticate.ts'
import type { PresentedToken } from '../../src/service/ports/presented-token.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'

/** An authenticator over a store, whose trust the test gives and takes. */
function createNode(more: Partial<AuthenticatorDeps> = {}) {
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
    ...more,
  })
  const ask = (bearerToken: string, ...senders: string[]) =>
    authenticator.authorise(present(authenticator, bearerToken), senders)
  return { lookup, clock, trust, authenticator, ask }
}

function present(authenticator: Authenticator, bearerToken: string): PresentedToken {
  const presented = authenticator.present(bearerToken)
  if (presented === undefined) throw new Error('malformed')
  return presented
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

describe('the last clearance of a token', () => {
  function createRegular() {
    const node = createNode({ recentTokens: createRecentTokens(100) })
    node.lookup.allow('a', ['acme.test', 'other.test'])
    return node
  }

  test('answers the same question, and whether the token is alive, without a look-up', async () => {
    const { lookup, ask } = createRegular()
    const earlier = await ask('a', 'acme.test')
    const { questions } = lookup
    expect(ask('a', 'acme.test')).toBe(earlier)
    expect(ask('a')).toBe(earlier)
    expect(lookup.questions).toBe(questions)
  })

  test('answers for no other domain, and for no further one', async () => {
    const { lookup, ask } = createRegular()
    await ask('a', 'acme.test')
    expect(await ask('a', 'foreign.test')).toMatchObject({ reason: 'unknown-domain' })
    expect(await ask('a', 'acme.test', 'foreign.test')).toMatchObject({ reason: 'unknown-domain' })
    lookup.allow('b', ['else.test'])
    expect(await ask('a', 'else.test')).toMatchObject({ reason: 'not-domain-admin' })
  })

  test('is not used once a record of it has changed', async () => {
    const { lookup, trust, ask } = createRegular()
    await ask('a', 'acme.test')
    lookup.revoke('a')
    for (const senders of [['acme.test'], []]) {
      let doubts = 1
      trust.believed = () => doubts-- <= 0
      expect(await ask('a', ...senders)).toMatchObject({ reason: 'unknown-token' })
    }
  })

  test('is not used without a lease, nor after the end of the token', async () => {
    const { lookup, clock, trust, ask } = createRegular()
    lookup.allow('brief', ['acme.test'], { expiresAt: clock.now() + 1_000 })
    await ask('brief', 'acme.test')
    trust.hasLease = false
    expect(() => ask('brief', 'acme.test')).toThrow(Undecided)
    trust.hasLease = true
    clock.advance(1_000)
    expect(await ask('brief', 'acme.test')).toMatchObject({ reason: 'expired-token' })
  })

  test('is made anew after some seconds, so that its records stay among those used lately', async () => {
    const { lookup, clock, ask } = createRegular()
    await ask('a', 'acme.test')
    const { questions } = lookup
    clock.advance(10_000)
    expect(await ask('a', 'acme.test')).toMatchObject({ allowed: true })
    expect(lookup.questions).toBe(questions + 2)
    await ask('a', 'acme.test')
    expect(lookup.questions).toBe(questions + 2)
  })

  test('is given up with a denial', async () => {
    const { authenticator, ask } = createRegular()
    await ask('a', 'acme.test')
    const presented = present(authenticator, 'a')
    expect(await ask('a', 'foreign.test')).toMatchObject({ allowed: false })
    expect(presented.clearance).toBeUndefined()
  })

  test('is not changed by who changes the list of domains behind it', async () => {
    const { authenticator } = createRegular()
    const presented = present(authenticator, 'a')
    const senders = ['acme.test']
    await authenticator.authorise(presented, senders)
    senders.push('foreign.test')
    expect(await authenticator.authorise(presented, senders)).toMatchObject({ allowed: false })
  })

  test('answers a batch that names only its domain', async () => {
    const { lookup, authenticator, ask } = createRegular()
    const earlier = await ask('a', 'acme.test')
    const { questions } = lookup
    const verdicts = authenticator.authoriseEach(present(authenticator, 'a'), [
      'acme.test',
      'acme.test',
    ])
    expect(verdicts).toEqual([earlier, earlier])
    expect(lookup.questions).toBe(questions)
  })
})

test('a token that was never let send is not remembered, alive or not', async () => {
  const { authenticator, lookup } = createNode({ recentTokens: createRecentTokens(100) })
  lookup.allow('a', ['acme.test'])
  for (const bearerToken of ['a', 'stranger']) {
    const presented = present(authenticator, bearerToken)
    for (const senders of [[], ['foreign.test']]) await authenticator.authorise(presented, senders)
    expect(present(authenticator, bearerToken)).not.toBe(presented)
  }
})

test('no more tokens are remembered than there is room for', async () => {
  const { authenticator, lookup } = createNode({ recentTokens: createRecentTokens(1) })
  const [first, second] = await Promise.all(
    ['a', 'b'].map(async (bearerToken) => {
      lookup.allow(bearerToken, ['acme.test'])
      const presented = present(authenticator, bearerToken)
      await authenticator.authorise(presented, ['acme.test'])
      return presented
    }),
  )
  expect(present(authenticator, 'a')).not.toBe(first)
  expect(present(authenticator, 'b')).toBe(second)
})

test('whether a token is known costs no look-up: its last clearance holds, or its credential is at hand', async () => {
  const { authenticator, lookup, trust } = createNode()
  lookup.allow('a', ['acme.test'])
  const presented = present(authenticator, 'a')
  expect(authenticator.knows(presented)).toBe(false)
  await authenticator.authorise(presented, ['acme.test'])
  expect(authenticator.knows(presented)).toBe(true)
  trust.believed = () => false
  expect(authenticator.knows(presented)).toBe(false)
})

test('whoever hears of no changes asks the store, whatever the earlier answer was', async () => {
  const lookup = createMemoryLookup()
  lookup.allow('a', ['acme.test'])
  const authenticator = createAuthenticator({
    lookup,
    clock: createFakeClock(),
    recentTokens: createRecentTokens(100),
    tokenPrefix: 'pst_',
  })
  const presented = present(authenticator, 'a')
  expect(await authenticator.authorise(presented, ['acme.test'])).toMatchObject({ allowed: true })
  lookup.revoke('a')
  for (const senders of [['acme.test'], []]) {
    const again = await authenticator.authorise(presented, senders)
    expect(again).toMatchObject({ allowed: false, reason: 'unknown-token' })
  }
})

test('a token that is remembered, or whose credential is at hand, is not judged by its form', async () => {
  const lookup = createMemoryLookup()
  lookup.allow('pst_short', ['acme.test'])
  const held = new Set<string>()
  const { authenticator } = createNode({
    lookup: { ...lookup, holdsCredential: (digest) => held.has(digest) },
    recentTokens: createRecentTokens(100),
  })
  expect(authenticator.present('pst_short')).toBeUndefined()
  held.add(digestToken('pst_short'))
  const presented = present(authenticator, 'pst_short')
  expect(await authenticator.authorise(presented, ['acme.test'])).toMatchObject({ allowed: true })
  held.clear()
  expect(authenticator.present('pst_short')).toBe(presented)
  expect(authenticator.present('x'.repeat(513))).toBeUndefined()
})

test('a batch is decided domain by domain from one reading of the credential', async () => {
  const { lookup, authenticator } = createNode()
  lookup.allow('a', ['acme.test', 'other.test'])
  const senders = ['acme.test', 'foreign.test', 'acme.test', 'other.test']
  const verdicts = await authenticator.authoriseEach(present(authenticator, 'a'), senders)
  expect(verdicts.map(({ allowed }) => allowed)).toEqual([true, false, true, true])
  expect(lookup.questions).toBe(4)
})
