import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTokenTables } from '../../src/store/migrations/0001-tokens.ts'
import { createFleetTables } from '../../src/store/migrations/0002-fleet.ts'
import { createIdempotencyKeys } from '../../src/store/migrations/0003-idempotency.ts'
import { addTombstoneAccounts } from '../../src/store/migrations/0004-tombstone-accounts.ts'
import { indexTokenLists } from '../../src/store/migrations/0020-token-lists.ts'
import { openPostgres } from '../../src/store/postgres.ts'
import type { Database } from '../../src/store/schema.ts'
import { openSqlite } from '../../src/store/sqlite.ts'
import { openStore } from '../../src/store/store.ts'
import { migrations } from '../helpers/migrations.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { actor, start as at, done, minted, onDomain } from './store.contract.ts'

/** A database from before domains were proven, with everything that refers to a domain. */

const folder = mkdtempSync(join(tmpdir(), 'postern-migration-'))
let postgres: Postgres

beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

async function fill(database: Database) {
  const earlier: Record<string, Migration> = {
    '0001-tokens': { up: createTokenTables(database.dialect) },
    '0002-fleet': { up: createFleetTables },
    '0003-idempotency': { up: createIdempotencyKeys },
    '0004-tombstone-accounts': { up: addTombstoneAccounts },
    '0020-token-lists': { up: indexTokenLists },
  }
  await database.write(async ({ db }) => {
    const provider = { getMigrations: async () => earlier }
    const { error } = await new Migrator({ db, provider }).migrateToLatest()
    if (error !== undefined) throw error
    const statements = [
      sql`insert into accounts (name, created_at) values ('Acme', 1)`,
      sql`insert into domains (account_id, name, state, created_at) values
        (1, 'one.example', 'verified', 1), (1, 'two.example', 'pending', 1),
        (1, 'gone.example', 'verified', 1)`,
      sql`insert into tokens (account_id, name, digest, last_four, created_by, created_at)
        values (1, 'both', 'digest', 'aaaa', 'Test', 1)`,
      sql`insert into grants (token_id, domain_id, level) values
        (1, 1, 'admin'), (1, 2, 'viewer'), (1, 3, 'admin')`,
      sql`delete from domains where id = 3`,
    ]
    for (const statement of statements) await statement.execute(db)
  })
  await database.close()
}

test.each<[string, () => Promise<[string, Database]>]>([
  [
    'SQLite',
    async () => {
      const file = join(folder, 'old.db')
      return [`sqlite:${file}`, openSqlite(file)]
    },
  ],
  [
    'PostgreSQL',
    async () => {
      const url = await postgres.createDatabase()
      return [url, await openPostgres(url)]
    },
  ],
])('on %s domains keep their ids, their grants and what depends on them', async (_name, create) => {
  const [url, old] = await create()
  await fill(old)
  const store = await openStore(url)
  try {
    expect(await store.migrate()).toEqual(migrations.filter((name) => name >= '0030'))
    const [one, two] = await store.listDomains(1)
    expect(one).toMatchObject({ id: 1, state: 'verified', proof: null, verifiedAt: null })
    expect(two).toMatchObject({ id: 2, state: 'pending', proof: { status: 'unchecked' } })
    expect(two?.proof?.challenge).toMatch(/^[0-9a-f]{32}$/)
    expect((await store.getToken(1))?.grants).toEqual([onDomain(1), onDomain(2, 'viewer')])

    // The id of a domain that is gone stands in no new one.
    const request = { accountId: 1, name: 'new.example', state: 'verified', actor, at } as const
    const { domain } = done(await store.addDomain({ ...request, token: minted() }))
    expect(domain.id).toBe(4)
    const again = await store.addDomain({ ...request, name: 'one.example', token: minted() })
    expect(again).toMatchObject({ refusal: { reason: 'domain-taken' } })

    done(await store.removeDomain({ domainId: 2, actor, at }))
    expect((await store.getToken(1))?.grants).toEqual([onDomain(1)])
    const twice = { accountId: 1, name: 'x', expiresAt: null, token: minted(), actor, at }
    const created = await store.createToken({ ...twice, grants: [onDomain(2)] })
    expect(created).toMatchObject({ refusal: { reason: 'no-such-domain' } })
    expect((await store.inspect()).filter(({ ok }) => !ok)).toEqual([])
  } finally {
    await store.close()
  }
})
