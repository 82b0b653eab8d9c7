import { describe, expect, test } from 'vitest'
import type { CachedLookupDeps } from '../../src/cache/cached-lookup.ts'
import { digestToken } from '../../src/core/token.ts'
import { createMemoryNode } from '../helpers/memory-node.ts'

function createNodeCache(more: Partial<CachedLookupDeps> = {}) {
  const node = createMemoryNode(more)
  return {
    ...node,
    find: (bearerToken: string) => node.lookup.findCredential(digestToken(bearerToken)),
  }
}

test('a hit in memory is at hand without a promise', async () => {
  const { store, find, lookup } = createNodeCache()
  const credential = store.allow('a', ['acme.test'])
  expect(find('a')).toBeInstanceOf(Promise)
  await find('a')
  await lookup.findDomain('acme.test')
  expect(find('a')).toMatchObject({ value: credential })
  expect(lookup.findDomain('acme.test')).toMatchObject({ value: { name: 'acme.test' } })
})

test('a thousand who ask for one thing at once are one question to the store', async () => {
  const { store, find } = createNodeCache()
  store.allow('a', ['acme.test'])
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => find('a')))
  expect(answers.every(({ value }) => value !== undefined)).toBe(true)
  expect(store.questions).toBe(1)
})

test('a record is read again after a change of what it is about, and only then', async () => {
  const { store, find, change, catchUp } = createNodeCache()
  store.allow('a', ['acme.test'])
  store.allow('b', ['acme.test'])
  await find('a')
  await find('b')
  change('a', () => store.revoke('a'))
  expect(find('a')).toMatchObject({ value: { tokenId: expect.any(Number) } }) // nothing is known yet
  catchUp()
  expect((await find('a')).value).toBeUndefined()
  expect(find('b')).not.toBeInstanceOf(Promise)
  expect(store.questions).toBe(3)
})

test('what was revoked while it was read is not kept', async () => {
  const { store, find, change, catchUp } = createNodeCache()
  store.allow('a', ['acme.test'])
  const wasRead = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  store.after = () => {
    wasRead.resolve()
    return held.promise
  }
  const reading = find('a')
  await wasRead.promise
  change('a', () => store.revoke('a'))
  catchUp()
  held.resolve()
  const joined = await reading
  expect(joined.value).toBeDefined() // judged again by whoever waited
  expect((await find('a')).value).toBeUndefined()
})

test('a record from a later moment is judged after catching up with it', async () => {
  const { store, find, change, knowledge } = createNodeCache()
  change('other', () => store.allow('a', ['acme.test']))
  const sighting = await find('a')
  expect(knowledge.moment()?.epoch).toBe(1)
  expect(knowledge.judge(sighting)).toBe('believed')
  expect(find('a')).not.toBeInstanceOf(Promise)
})

describe('that there is nothing', () => {
  test('is kept for five seconds at most', async () => {
    const { store, find, clock } = createNodeCache()
    await find('nobody')
    expect((await find('nobody')).value).toBeUndefined()
    expect(store.questions).toBe(1)
    clock.advance(5_001)
    await find('nobody')
    expect(store.questions).toBe(2)
  })

  test('a flood of it evicts nothing good, and is bounded', async () => {
    const { store, find, lookup } = createNodeCache({ maxEntries: 10 })
    for (let i = 0; i < 10; i++) {
      store.allow(`good-${i}`, ['acme.test'])
      await find(`good-${i}`)
    }
    for (let i = 0; i < 30_000; i++) await lookup.findCredential(`random-${i}`)
    for (let i = 0; i < 10; i++) expect(find(`good-${i}`)).not.toBeInstanceOf(Promise)
    expect(lookup.findCredential('random-0')).toBeInstanceOf(Promise)
  })

  test('is never learnt from a store that could not be asked', async () => {
    const { store, find } = createNodeCache()
    store.allow('a', ['acme.test'])
    store.fault = new Error('the database is down')
    await expect(find('a')).rejects.toThrow('down')
    await expect(find('nobody')).rejects.toThrow('down')
    store.fault = undefined
    expect((await find('a')).value).toBeDefined()
  })
})

test('a question that failed is asked anew by the next, and not answered from the failure', async () => {
  const { store, find } = createNodeCache()
  store.allow('a', ['acme.test'])
  store.fault = new Error('the database is down')
  const failed = await Promise.allSettled([find('a'), find('a')])
  expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  expect(store.questions).toBe(1)
  store.fault = undefined
  expect((await find('a')).value).toBeDefined()
})

describe('a shared cache', () => {
  function createShared(entries = new Map()) {
    return {
      entries,
      findCredential: async (digest: string) => entries.get(digest),
      findDomain: async (name: string) => entries.get(name),
      keepCredential: (digest: string, sighting: object) =>
        void entries.set(digest, structuredClone(sighting)),
      keepDomain: (name: string, sighting: object) =>
        void entries.set(name, structuredClone(sighting)),
    }
  }

  test('spares the store the question, and gets what the store answered', async () => {
    const shared = createShared()
    const first = createNodeCache({ shared })
    first.store.allow('a', ['acme.test'])
    await first.find('a')
    const second = createNodeCache({ shared })
    expect((await second.find('a')).value).toMatchObject({ accountId: 1 })
    expect(second.store.questions).toBe(0)
  })

  test('that brings back what was revoked is not believed', async () => {
    const shared = createShared()
    const node = createNodeCache({ shared })
    node.store.allow('a', ['acme.test'])
    await node.find('a')
    const old = structuredClone(shared.entries.get(digestToken('a')))
    node.change('a', () => node.store.revoke('a'))
    node.catchUp()
    shared.entries.set(digestToken('a'), old)
    expect((await node.find('a')).value).toBeUndefined()
  })

  test('never gets that there is nothing', async () => {
    const shared = createShared()
    await createNodeCache({ shared }).find('nobody')
    expect(shared.entries.size).toBe(0)
  })
})
