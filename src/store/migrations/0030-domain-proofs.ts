import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Dialect } from '../schema.ts'

/**
 * Domains that accounts add themselves prove it by the DNS. Several accounts may claim a name that nobody has proven, so
 * that a claim keeps nobody out: only among verified domains it is unique.
 */
export function addDomainProofs(dialect: Dialect) {
  const statements = dialect === 'sqlite' ? sqliteStatements : postgresStatements
  return async function up(db: Kysely<unknown>) {
    for (const statement of [...statements, ...indexes]) await statement.execute(db)
  }
}

const indexes: readonly RawBuilder<unknown>[] = [
  sql`create unique index domains_account_name on domains (account_id, name)`,
  sql`create unique index domains_verified_name on domains (name) where state = 'verified'`,
  sql`create index domains_name on domains (name, state, id)`,
  sql`create index domains_next_check on domains (next_check_at) where next_check_at is not null`,
]

const postgresStatements: readonly RawBuilder<unknown>[] = [
  sql`alter table domains drop constraint domains_name_key`,
  // The new one with the name serves its purpose.
  sql`drop index domains_account`,
  sql`alter table domains
    add column verified_at bigint,
    add column challenge text,
    add column check_status text not null default 'unchecked',
    add column checked_at bigint,
    add column checking_since bigint,
    add column next_check_at bigint`,
  // From the server's source of strong randomness.
  sql`update domains set challenge = replace(gen_random_uuid()::text, '-', '')
    where state = 'pending'`,
  sql`alter table domains add check (state = 'verified' or challenge is not null)`,
]

/**
 * SQLite cannot drop the constraint: the table is made anew, and `grants` with it. They refer to the renamed table until
 * then, and dropping that before they refer to the new one would delete them.
 */
const sqliteStatements: readonly RawBuilder<unknown>[] = [
  sql`drop index domains_account`,
  sql`alter table domains rename to old_domains`,
  sql`create table domains (
    id integer primary key autoincrement,
    account_id bigint not null references accounts (id),
    name text not null,
    state text not null check (state in ('verified', 'pending')),
    created_at bigint not null,
    verified_at bigint,
    challenge text,
    check_status text not null default 'unchecked',
    checked_at bigint,
    checking_since bigint,
    next_check_at bigint,
    check (state = 'verified' or challenge is not null)
  )`,
  sql`insert into domains (id, account_id, name, state, created_at, challenge)
    select id, account_id, name, state, created_at,
      case when state = 'pending' then lower(hex(randomblob(16))) end
    from old_domains`,
  // No id is ever given twice, also those of domains that were removed.
  sql`delete from sqlite_sequence where name = 'domains'`,
  sql`update sqlite_sequence set name = 'domains' where name = 'old_domains'`,
  sql`create table new_grants (
    token_id bigint not null references tokens (id) on delete cascade,
    domain_id bigint references domains (id) on delete cascade,
    level text not null check (level in ('viewer', 'admin'))
  )`,
  sql`insert into new_grants (token_id, domain_id, level)
    select token_id, domain_id, level from grants`,
  sql`drop table grants`,
  sql`alter table new_grants rename to grants`,
  sql`create unique index grants_token_domain on grants (token_id, coalesce(domain_id, 0))`,
  sql`create index grants_domain on grants (domain_id)`,
  sql`drop table old_domains`,
]
