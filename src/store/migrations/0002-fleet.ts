import { type Kysely, sql } from 'kysely'

/** The nodes that may decide, and what the revocation log needs to tell one history of the database from another. */
export async function createFleetTables(db: Kysely<unknown>) {
  const statements = [
    sql`create table nodes (
      incarnation text primary key,
      name text not null,
      started_at bigint not null,
      renewed_at bigint not null,
      renewal bigint not null,
      applied_epoch bigint not null,
      hold_ms bigint not null,
      fenced integer not null check (fenced in (0, 1))
    )`,
    // Of PostgreSQL's write-ahead log: a promoted standby has another one.
    sql`alter table revocation_clock add column timeline text not null default ''`,
    // No node can hold a lease of an era before the first: nobody has to wait for it to be over.
    sql`update revocation_clock set era_at = 0`,
  ]
  for (const statement of statements) await statement.execute(db)
}
