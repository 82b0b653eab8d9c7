import { expect, test } from 'vitest'
import type { Caller } from '../../src/service/callers.ts'
import { createManagedDomains } from '../../src/service/managed-domains.ts'

/** May an account add domains itself? */

const caller = (level: 'admin' | 'viewer'): Caller => ({
  tokenId: 1,
  accountId: 1,
  name: 'Boss',
  origin: 'test',
  grants: [{ resource: { type: 'account', id: 1 }, level }],
})

/** Adds what it is asked to add, and shows in which state. */
function domainsWith(accountDomains: 'deny' | 'allow' | 'verify') {
  const issue = {
    async addDomain(request: object) {
      const domain = { id: 1, ...request }
      return { done: true, value: { domain, token: {} }, receipt: null }
    },
  }
  return createManagedDomains({ issue, accountDomains } as never)
}

test.each<['allow' | 'verify', string]>([
  ['allow', 'verified'],
  ['verify', 'pending'],
])('with %s a domain that an account adds is %s', async (setting, state) => {
  const added = await domainsWith(setting).create(caller('admin'), 'new.test')
  expect(added).toMatchObject({ value: { domain: { name: 'new.test', state } } })
})

test('with deny none is verified either, nor by one that may only look', async () => {
  const domain = { id: 7, accountId: 1, name: 'new.test', state: 'pending', proof: null }
  const asked: unknown[] = []
  const verifyWith = (accountDomains: 'deny' | 'verify', level: 'admin' | 'viewer') => {
    const onRequest = async (found: unknown) => {
      asked.push(found)
      return { outcome: { done: true, value: found, receipt: null }, check: null }
    }
    const registry = { getDomain: async (id: number) => (id === 7 ? domain : undefined) }
    const deps = { registry, verify: { onRequest }, accountDomains }
    return createManagedDomains(deps as never).verify(caller(level), 7)
  }
  expect(await verifyWith('deny', 'admin')).toEqual({ denied: 'forbidden' })
  expect(await verifyWith('verify', 'viewer')).toEqual({ denied: 'forbidden' })
  expect(asked).toEqual([])
  expect(await verifyWith('verify', 'admin')).toMatchObject({ value: { administered: true } })
  expect(asked).toEqual([domain])
})

test('with deny none is added, and never by one that may only look', async () => {
  const forbidden = { denied: 'forbidden' }
  expect(await domainsWith('deny').create(caller('admin'), 'new.test')).toEqual(forbidden)
  expect(await domainsWith('allow').create(caller('viewer'), 'new.test')).toEqual(forbidden)
})

test('one that somebody else removes meanwhile is gone, which is answered when it holds everywhere', async () => {
  const confirmed = { epoch: 7, propagation: 'confirmed' } as const
  const domains = createManagedDomains({
    registry: {
      getDomain: async () => ({ id: 1, accountId: 1, name: 'a.test', state: 'verified' }),
      readNodes: async () => ({ moment: { era: 'e', epoch: 7 } }),
    },
    revoke: {
      removeDomain: async () => ({ done: false, refusal: { reason: 'no-such-domain' } }),
    },
    confirm: async (epoch: number) => ({ ...confirmed, epoch }),
  } as never)
  expect(await domains.remove(caller('admin'), 1)).toEqual({
    done: true,
    value: { removed: false },
    receipt: confirmed,
  })
})
