import { type Migration, Migrator } from 'kysely/migration'
import { createTokenTables } from './migrations/0001-tokens.ts'
import { createFleetTables } from './migrations/0002-fleet.ts'
import { createIdempotencyKeys } from './migrations/0003-idempotency.ts'
import type { Database, Dialect } from './schema.ts'

/** Every migration by its name, forward only, in order. */
function migrations(dialect: Dialect): Record<string, Migration> {
  return {
    '0001-tokens': { up: createTokenTables(dialect) },
    '0002-fleet': { up: createFleetTables },
    '0003-idempotency': { up: createIdempotencyKeys },
  }
}

/**
 * Applies what is missing, all or nothing; answers the names. Two processes may start at once: on PostgreSQL the migrator
 * takes an advisory lock, on SQLite a change is alone.
 */
export async function applyMigrations(database: Database): Promise<string[]> {
  const { dialect } = database
  return database.write(async ({ db }) => {
    const provider = { getMigrations: async () => migrations(dialect) }
    const { error, results = [] } = await new Migrator({ db, provider }).migrateToLatest()
    if (error !== undefined) throw error
    return results.map(({ migrationName }) => migrationName)
  })
}
