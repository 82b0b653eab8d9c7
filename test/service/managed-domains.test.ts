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

test('with deny none is added, and never by one that may only look', async () => {
  const forbidden = { denied: 'forbidden' }
  expect(await domainsWith('deny').create(caller('admin'), 'new.test')).toEqual(forbidden)
  expect(await domainsWith('allow').create(caller('viewer'), 'new.test')).toEqual(forbidden)
})
