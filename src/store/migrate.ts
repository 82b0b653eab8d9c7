import { sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { createTokenTables } from './migrations/0001-tokens.ts'
import { createFleetTables } from './migrations/0002-fleet.ts'
import { createIdempotencyKeys } from './migrations/0003-idempotency.ts'
import { addTombstoneAccounts } from './migrations/0004-tombstone-accounts.ts'
import { indexTokenLists } from './migrations/0020-token-lists.ts'
import { addDomainProofs } from './migrations/0030-domain-proofs.ts'
import { createEndedDigests } from './migrations/0031-ended-digests.ts'
import { addTokenRates } from './migrations/0040-token-rates.ts'
import { indexGrantPages } from './migrations/0050-grant-pages.ts'
import type { Database, Dialect } from './schema.ts'

/** Every migration by its name, forward only, in order. */
function migrations(dialect: Dialect): Record<string, Migration> {
  return {
    '0001-tokens': { up: createTokenTables(dialect) },
    '0002-fleet': { up: createFleetTables },
    '0003-idempotency': { up: createIdempotencyKeys },
    '0004-tombstone-accounts': { up: addTombstoneAccounts },
    '0020-token-lists': { up: indexTokenLists },
    '0030-domain-proofs': { up: addDomainProofs(dialect) },
    '0031-ended-digests': { up: createEndedDigests },
    '0040-token-rates': { up: addTokenRates },
    '0050-grant-pages': { up: indexGrantPages },
  }
}

/** Names our lock among all advisory locks of a database; any number that nobody else takes. */
const migrationLock = 7_067_837_114

/** Applies what is missing, all or nothing; answers the names. Two processes may start at once: the second waits. */
export async function applyMigrations(database: Database): Promise<string[]> {
  const { dialect } = database
  return database.write(async ({ db }) => {
    // The migrator's own lock comes after its tables, and two that make those at once collide. On SQLite a change is alone.
    if (dialect === 'postgres')
      await sql`select pg_advisory_xact_lock(${migrationLock})`.execute(db)
    const provider = { getMigrations: async () => migrations(dialect) }
    const { error, results = [] } = await new Migrator({ db, provider }).migrateToLatest()
    // What Kysely says of a migration that was applied and is not known here.
    if (/^corrupted migrations: .* is missing$/.test(String((error as Error)?.message))) {
      throw new Error(
        'a newer version of Postern has migrated it: use that version, or a copy from before',
        { cause: error },
      )
    }
    if (error !== undefined) throw error
    return results.map(({ migrationName }) => migrationName)
  })
}
