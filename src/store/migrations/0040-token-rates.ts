import { type Kysely, sql } from 'kysely'

/** A token may have a rate of its own: `150/10s`, `off`, or null for the usual one. */
export async function addTokenRates(db: Kysely<unknown>) {
  await sql`alter table tokens add column rate text`.execute(db)
}
