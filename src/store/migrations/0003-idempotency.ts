import { type Kysely, sql } from 'kysely'

/** Calls that make a secret, by the key that their callers gave them: for some minutes a repeated one is the same one. */
export async function createIdempotencyKeys(db: Kysely<unknown>) {
  const statements = [
    sql`create table idempotency_keys (
      scope text not null,
      key text not null,
      fingerprint text not null,
      at bigint not null,
      token_id bigint,
      sealed text not null,
      primary key (scope, key)
    )`,
    sql`create index idempotency_keys_at on idempotency_keys (at)`,
  ]
  for (const statement of statements) await statement.execute(db)
}
