import { resolve } from 'node:path'
import { sql } from 'kysely'
import type { FleetRegistry } from '../service/ports/fleet.ts'
import type { ImportRegistry } from '../service/ports/imports.ts'
import type { Lookup } from '../service/ports/lookup.ts'
import type { Registry } from '../service/ports/registry.ts'
import type { SecretStore } from '../service/ports/secrets.ts'
import { createAuditTrail } from './audit.ts'
import { createDomainProofRegistry } from './domain-proofs.ts'
import { createDomainRegistry } from './domains.ts'
import { createEditRegistry } from './edits.ts'
import { createFleetRegistry } from './fleet.ts'
import { createImportRegistry } from './imports.ts'
import { inspectData } from './inspect.ts'
import { createLookup } from './lookup.ts'
import { applyMigrations } from './migrate.ts'
import { openPostgres, type PostgresOptions } from './postgres.ts'
import { createResetRegistry } from './resets.ts'
import type { Database, Dialect, Inspection } from './schema.ts'
import { createSecretStore } from './secrets.ts'
import { openSqlite } from './sqlite.ts'
import { createTokenPages } from './token-pages.ts'
import { createTokenRegistry } from './tokens.ts'

/** The truth, in SQL: what it promises stands in `service/ports/`. */
export interface Store extends Lookup, Registry, ImportRegistry, SecretStore, FleetRegistry {
  readonly dialect: Dialect
  /** Brings the schema up to date; answers the names of what it applied. */
  migrate(): Promise<string[]>
  /** Throws when the database does not answer. */
  ping(): Promise<void>
  /** For `postern doctor`. */
  inspect(): Promise<readonly Inspection[]>
  close(): Promise<void>
}

/** Opens `sqlite:PATH`, relative to the working directory, or `postgres://…`. Throws when it cannot be opened. */
export async function openStore(url: string, options?: PostgresOptions): Promise<Store> {
  const database = await openDatabase(url, options)
  const fleet = createFleetRegistry(database)
  return {
    dialect: database.dialect,
    ...createLookup(database),
    ...createDomainRegistry(database),
    ...createDomainProofRegistry(database),
    ...createTokenRegistry(database),
    ...createEditRegistry(database),
    ...createTokenPages(database),
    ...createImportRegistry(database),
    ...createResetRegistry(database),
    ...createAuditTrail(database),
    ...createSecretStore(database),
    ...fleet,

    migrate: () => applyMigrations(database),
    async ping() {
      await sql`select 1`.execute(database.reader)
    },
    async inspect() {
      const now = await fleet.readClock()
      return [...(await database.inspect()), ...(await inspectData(database, now))]
    },
    close: () => database.close(),
  }
}

async function openDatabase(url: string, options?: PostgresOptions): Promise<Database> {
  const file = /^sqlite:(.+)$/.exec(url)?.[1]
  return file === undefined ? openPostgres(url, options) : openSqlite(resolve(file))
}
