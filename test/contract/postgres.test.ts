import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { fleetContract } from './fleet.contract.ts'
import { storeContract } from './store.contract.ts'

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

describe('PostgreSQL', () => {
  storeContract(async () => openStore(await postgres.createDatabase()))
  fleetContract(async () => {
    const url = await postgres.createDatabase()
    return {
      store: await openStore(url),
      async execute(statement) {
        const client = new pg.Client({ connectionString: url })
        await client.connect()
        await client.query(statement)
        await client.end()
      },
    }
  })

  test('a connection that listens for changes is made anew when it breaks, and counts as a change', async () => {
    const url = await postgres.createDatabase()
    const store = await openStore(url)
    await store.migrate()
    let heard = 0
    const stop = store.watchLog(() => {
      heard += 1
    })
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(1)
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%' and datname = current_database()`,
    )
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(2)
    await client.query(`notify postern_revocations`)
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(3)
    await client.end()
    stop()
    await store.close()
  })

  test('processes that start at once on an empty database migrate it once, and none fails', async () => {
    const url = await postgres.createDatabase()
    const stores = await Promise.all(Array.from({ length: 6 }, () => openStore(url)))
    const applied = await Promise.all(stores.map((store) => store.migrate()))
    expect(applied.flat()).toEqual([
      '0001-tokens',
      '0002-fleet',
      '0003-idempotency',
      '0004-tombstone-accounts',
    ])
    await Promise.all(stores.map((store) => store.close()))
  })
})
