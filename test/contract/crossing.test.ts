import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Change } from '../../src/service/ports/registry.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { actor, start as at, done, minted } from './store.contract.ts'

/** Tokens that change each other at once, each through a process of its own: each holds what the other waits for. */

let postgres: Postgres
let stores: readonly [Store, Store]

beforeAll(async () => {
  postgres = await startPostgres()
  const url = await postgres.createDatabase()
  stores = [await openStore(url), await openStore(url)]
  await stores[0].migrate()
})
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()))
  await postgres.stop()
})

const by = (tokenId: number) => ({ actor: { tokenId, name: 'x', origin: 'test' }, at })

test.each<[string, (store: Store, caller: number, target: number) => Promise<Change<unknown>>]>([
  ['delete', (store, caller, tokenId) => store.deleteToken({ tokenId, ...by(caller) })],
  [
    'narrow',
    (store, caller, tokenId) => store.replaceGrants({ tokenId, grants: [], ...by(caller) }),
  ],
  [
    'reset',
    (store, caller, tokenId) =>
      store.resetToken({ tokenId, windowEndsAt: at, token: minted(), ...by(caller) }),
  ],
])(
  'of two that %s each other one wins, and neither waits for ever',
  async (_name, act) => {
    const [one, two] = stores
    for (let round = 0; round < 60; round++) {
      const accountId = done(await one.createAccount({ name: 'x', actor, at })).id
      const grants = [{ resource: { type: 'account', id: accountId }, level: 'admin' }] as const
      const make = async () => {
        const request = { accountId, name: 'x', grants, expiresAt: null, actor, at }
        return done(await one.createToken({ ...request, token: minted() })).id
      }
      const [a, b] = [await make(), await make()]
      const changes = await Promise.all([act(one, a, b), act(two, b, a)])
      expect(changes.map((change) => change.done).toSorted()).toEqual([false, true])
    }
  },
  60_000,
)
