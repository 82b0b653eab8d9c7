import { type Kysely, sql } from 'kysely'

/** What was a token once and is none any more: a file that is imported again does not bring it back to life. */
export async function createEndedDigests(db: Kysely<unknown>) {
  await sql`create table ended_digests (
    digest text primary key,
    at bigint not null
  )`.execute(db)
}
