import { randomUUID } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import type { Dialect } from '../schema.ts'

/** Accounts, domains, tokens with their grants, the audit trail, the revocation log, sealed secrets. */
export function createTokenTables(dialect: Dialect) {
  // Ids stand in names, so that none is ever given twice, not even after its row is gone.
  const id =
    dialect === 'sqlite'
      ? sql`integer primary key autoincrement`
      : sql`bigint generated always as identity primary key`
  const now =
    dialect === 'sqlite'
      ? sql`cast(unixepoch('subsec') * 1000 as integer)`
      : sql`cast(extract(epoch from now()) * 1000 as bigint)`

  return async function up(db: Kysely<unknown>) {
    const statements = [
      sql`create table accounts (
        id ${id},
        name text not null,
        created_at bigint not null
      )`,
      sql`create table domains (
        id ${id},
        account_id bigint not null references accounts (id),
        name text not null unique,
        state text not null check (state in ('verified', 'pending')),
        created_at bigint not null
      )`,
      sql`create index domains_account on domains (account_id)`,
      sql`create table tokens (
        id ${id},
        account_id bigint not null references accounts (id),
        name text not null,
        digest text not null unique,
        last_four text not null,
        sealed text,
        created_by text not null,
        created_at bigint not null,
        expires_at bigint,
        reset_at bigint,
        window_ends_at bigint,
        successor_id bigint unique,
        check ((reset_at is null) = (window_ends_at is null)),
        check ((reset_at is null) = (successor_id is null))
      )`,
      sql`create index tokens_account on tokens (account_id)`,
      sql`create index tokens_expiry on tokens (expires_at) where expires_at is not null`,
      sql`create index tokens_window on tokens (window_ends_at) where window_ends_at is not null`,
      sql`create table grants (
        token_id bigint not null references tokens (id) on delete cascade,
        domain_id bigint references domains (id) on delete cascade,
        level text not null check (level in ('viewer', 'admin'))
      )`,
      sql`create unique index grants_token_domain on grants (token_id, coalesce(domain_id, 0))`,
      sql`create index grants_domain on grants (domain_id)`,
      sql`create table audit_events (
        id ${id},
        at bigint not null,
        account_id bigint,
        actor text not null,
        origin text not null,
        action text not null,
        subject_type text not null,
        subject_id bigint not null,
        before text,
        after text
      )`,
      sql`create index audit_events_account on audit_events (account_id, id)`,
      ...appendOnly(dialect),
      sql`create table revocation_clock (
        only_row integer primary key check (only_row = 1),
        epoch bigint not null,
        pruned_through bigint not null,
        era text not null,
        era_at bigint not null
      )`,
      sql`insert into revocation_clock (only_row, epoch, pruned_through, era, era_at)
        values (1, 0, 0, ${randomUUID()}, ${now})`,
      sql`create table revocations (
        epoch bigint primary key,
        keys text not null,
        at bigint not null
      )`,
      sql`create table token_tombstones (
        token_id bigint primary key,
        epoch bigint not null,
        at bigint not null
      )`,
      sql`create table secrets (
        id text primary key,
        kind text not null,
        created_at bigint not null,
        retired_at bigint,
        sealed text not null
      )`,
      sql`create unique index secrets_current on secrets (kind) where retired_at is null`,
    ]
    for (const statement of statements) await statement.execute(db)
  }
}

/** The audit trail refuses to be rewritten, whoever asks. */
function appendOnly(dialect: Dialect) {
  if (dialect === 'sqlite') {
    return ['update', 'delete'].map(
      (change) => sql`create trigger ${sql.raw(`audit_events_no_${change}`)}
        before ${sql.raw(change)} on audit_events
        begin select raise(abort, 'audit_events is append-only'); end`,
    )
  }
  return [
    sql`create function refuse_audit_change() returns trigger language plpgsql as
      $$ begin raise exception 'audit_events is append-only'; end $$`,
    sql`create trigger audit_events_append_only
      before update or delete or truncate on audit_events
      for each statement execute function refuse_audit_change()`,
  ]
}
