import { type Kysely, sql } from 'kysely'

/** Whose a deleted token was: its account is told that it was deleted, and nobody else that it ever was. */
export async function addTombstoneAccounts(db: Kysely<unknown>) {
  await sql`alter table token_tombstones add column account_id bigint`.execute(db)
}
