import { type Kysely, sql } from 'kysely'

/** What lists and searches of many tokens need, and which token asked for a change. */
export async function indexTokenLists(db: Kysely<unknown>) {
  const statements = [
    sql`alter table tokens add column search_text text not null default ''`,
    // As `searchText` in token-rows.ts folds it, but for letters that this database does not fold.
    sql`update tokens set search_text = lower(name || ' ' || last_four)`,
    // Answers pages and searches by itself: the rows, with their sealed copies, are many times its size.
    sql`create index tokens_list on tokens (account_id, id, search_text)`,
    sql`drop index tokens_account`,
    sql`alter table audit_events add column actor_token_id bigint`,
  ]
  for (const statement of statements) await statement.execute(db)
}
