import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { storeContract } from './store.contract.ts'

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

describe('PostgreSQL', () => {
  storeContract(async () => openStore(await postgres.createDatabase()))

  test('processes that start at once on an empty database migrate it once, and none fails', async () => {
    const url = await postgres.createDatabase()
    const stores = await Promise.all(Array.from({ length: 6 }, () => openStore(url)))
    const applied = await Promise.all(stores.map((store) => store.migrate()))
    expect(applied.flat()).toEqual(['0001-tokens', '0002-fleet', '0003-idempotency'])
    await Promise.all(stores.map((store) => store.close()))
  })
})
