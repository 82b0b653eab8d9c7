import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { migrations } from '../helpers/migrations.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { apiContract } from './api.contract.ts'
import { domainProofContract } from './domain-proof.contract.ts'
import { fleetContract } from './fleet.contract.ts'
import { importsContract } from './imports.contract.ts'
import { actor, start as at, done, minted, storeContract } from './store.contract.ts'

let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

describe('PostgreSQL', () => {
  storeContract(async () => openStore(await postgres.createDatabase()))
  apiContract(async () => openStore(await postgres.createDatabase()))
  domainProofContract(async () => {
    const url = await postgres.createDatabase()
    return { store: await openStore(url), other: await openStore(url) }
  })
  importsContract(async () => openStore(await postgres.createDatabase()))
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

  test('after an import statements are planned by what is there now', async () => {
    const url = await postgres.createDatabase()
    const store = await openStore(url)
    await store.migrate()
    const accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
    const tokens = Array.from({ length: 100 }, (_, line) => ({
      ...{ ...minted(), line, name: 'x', expiresAt: null, createdAt: null },
      grants: [{ domain: null, level: 'viewer' as const }],
    }))
    done(await store.importTokens({ accountId, source: 'x', tokens, trial: false, actor, at }))
    await store.announceImport({ at })
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const { rows } = await client.query(
      `select reltuples from pg_class where relname in ('tokens', 'grants')`,
    )
    expect(rows).toEqual([{ reltuples: 100 }, { reltuples: 100 }])
    await client.end()
    await store.close()
  })

  test('the deletion of a token answers after everything that it was just asking for', async () => {
    const url = await postgres.createDatabase()
    const store = await openStore(url)
    await store.migrate()
    const accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
    const grants = [{ resource: { type: 'account', id: accountId }, level: 'admin' }] as const
    const request = { accountId, name: 'x', grants, expiresAt: null, at }
    const thief = done(await store.createToken({ ...request, token: minted(), actor }))
    const holder = new pg.Client({ connectionString: url })
    // Inside a transaction the view of the others' activity would not move.
    const watcher = new pg.Client({ connectionString: url })
    await Promise.all([holder.connect(), watcher.connect()])
    const waiting = async () => {
      const { rows } = await watcher.query(
        `select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`,
      )
      return rows[0].n
    }

    // Its new token waits for the row of the account; and the deletion for what it is doing.
    await holder.query('begin')
    await holder.query('select * from accounts for update')
    const by = { tokenId: thief.id, name: 'x', origin: 'test' }
    const creating = store.createToken({ ...request, token: minted(), actor: by })
    await expect.poll(waiting, { timeout: 5_000 }).toBe(1)
    const deleted = store.deleteToken({ tokenId: thief.id, actor, at }).then(async (change) => {
      done(change)
      return (await store.listTokens(accountId)).map(({ id }) => id)
    })
    await expect.poll(waiting, { timeout: 5_000 }).toBe(2)
    await holder.query('commit')
    const created = done(await creating)
    expect(await deleted).toEqual([created.id])
    const late = await store.createToken({ ...request, token: minted(), actor: by })
    expect(late).toEqual({ done: false, refusal: { reason: 'caller-gone' } })
    await Promise.all([holder.end(), watcher.end()])
    await store.close()
  })

  test('processes that start at once on an empty database migrate it once, and none fails', async () => {
    const url = await postgres.createDatabase()
    const stores = await Promise.all(Array.from({ length: 6 }, () => openStore(url)))
    const applied = await Promise.all(stores.map((store) => store.migrate()))
    expect(applied.flat()).toEqual(migrations)
    await Promise.all(stores.map((store) => store.close()))
  })
})
