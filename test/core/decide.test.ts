import { describe, expect, test } from 'vitest'
import { type Credential, decide } from '../../src/core/decide.ts'
import type { DomainRecord, Grant } from '../../src/core/grants.ts'

const now = Date.UTC(2026, 10, 24, 12)
const domain: DomainRecord = { id: 7, accountId: 1, name: 'example.com', state: 'verified' }

function holder(grants: readonly Grant[], more: Partial<Credential> = {}): Credential {
  return { tokenId: 5, accountId: 1, expiresAt: null, windowEndsAt: null, grants, ...more }
}
const onDomain = (id: number, level: Grant['level'] = 'admin'): Grant => ({
  resource: { type: 'domain', id },
  level,
})
const onAccount = (id: number, level: Grant['level'] = 'admin'): Grant => ({
  resource: { type: 'account', id },
  level,
})
const asSender = (record: DomainRecord | undefined) => [{ name: 'example.com', record }]

describe('who may send as example.com', () => {
  test.each([
    ['a token with Domain Admin on it', holder([onDomain(7)]), true],
    ['a token with admin on its account', holder([onAccount(1)]), true],
    ['a viewer of the domain', holder([onDomain(7, 'viewer')]), 'not-domain-admin'],
    ['a viewer of the account', holder([onAccount(1, 'viewer')]), 'not-domain-admin'],
    ['an admin of another domain', holder([onDomain(8)]), 'not-domain-admin'],
    ['a token without grants', holder([]), 'not-domain-admin'],
    ['a token of another account', holder([onDomain(7)], { accountId: 2 }), 'not-domain-admin'],
    ['an account grant that names another account', holder([onAccount(2)]), 'not-domain-admin'],
    ['nobody', undefined, 'unknown-token'],
  ] as const)('%s: %s', (_who, credential, expected) => {
    const decision = decide(credential, asSender(domain), now)
    expect(decision.allowed ? true : decision.reason).toBe(expected)
  })

  test('nobody while it is not verified, whichever account it is that claims it', () => {
    const pending = { ...domain, state: 'pending' } as const
    for (const accountId of [1, 2]) {
      const asking = holder([onDomain(7)], { accountId })
      expect(decide(asking, asSender(pending), now)).toMatchObject({
        allowed: false,
        reason: 'unverified-domain',
        domain: 'example.com',
      })
    }
  })

  test('nobody when it belongs to nobody', () => {
    expect(decide(holder([onAccount(1)]), asSender(undefined), now)).toMatchObject({
      allowed: false,
      reason: 'unknown-domain',
    })
  })
})

describe('a token ends', () => {
  test.each([
    ['at its expiry', { expiresAt: now }, false],
    ['not a millisecond before its expiry', { expiresAt: now + 1 }, true],
    ['at the end of its reset window', { windowEndsAt: now }, false],
    ['not a millisecond before that', { windowEndsAt: now + 1 }, true],
    ['at its expiry though its window runs', { expiresAt: now, windowEndsAt: now + 9 }, false],
    ['with its window though it expires later', { expiresAt: now + 9, windowEndsAt: now }, false],
  ])('%s', (_when, times, alive) => {
    expect(decide(holder([], times), [], now).allowed).toBe(alive)
  })

  test('and its principal says when', () => {
    const decision = decide(holder([], { expiresAt: now + 9, windowEndsAt: now + 5 }), [], now)
    expect(decision).toMatchObject({ principal: { standing: 'reset', endsAt: now + 5 } })
  })
})

test('one sender that may not be used refuses them all', () => {
  const other = { ...domain, id: 8, name: 'example.net' }
  const senders = [
    { name: 'example.com', record: domain },
    { name: 'example.net', record: other },
  ]
  expect(decide(holder([onDomain(7)]), senders, now)).toEqual({
    allowed: false,
    reason: 'not-domain-admin',
    domain: 'example.net',
    tokenId: 5,
  })
})
