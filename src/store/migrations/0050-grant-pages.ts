import { type Kysely, sql } from 'kysely'

/** The tokens of one domain by id, so that a page of them reads no more than the page. */
export async function indexGrantPages(db: Kysely<unknown>) {
  await sql`create index grants_domain_token on grants (domain_id, token_id)`.execute(db)
  // The new one with the token serves its purpose.
  await sql`drop index grants_domain`.execute(db)
}
