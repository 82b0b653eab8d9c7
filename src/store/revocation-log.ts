import { randomUUID } from 'node:crypto'
import { type Expression, type ExpressionBuilder, type Kysely, sql } from 'kysely'
import type { Schema, WriteTransaction } from './schema.ts'

/** The channel of PostgreSQL's NOTIFY on which a grown log is told of. It carries nothing else. */
export const logChannel = 'postern_revocations'

/**
 * Takes the next epoch and writes the change into the log. It is the last lock of every transaction: epochs then commit in
 * their order, and a reader that has seen one has seen all before it. A sequence would not give that.
 */
export async function takeEpoch(
  { db, dialect }: WriteTransaction,
  keys: readonly string[],
  at: number,
): Promise<number> {
  const { epoch } = await db
    .updateTable('revocation_clock')
    .set({ epoch: sql<number>`epoch + 1` })
    .$if(dialect === 'postgres', (update) => update.set(startEraOfNewTimeline))
    .returning('epoch')
    .executeTakeFirstOrThrow()
  await db
    .insertInto('revocations')
    .values({ epoch, keys: JSON.stringify(keys), at })
    .execute()
  if (dialect === 'postgres') await sql`select pg_notify(${logChannel}, '')`.execute(db)
  return epoch
}

/** For a repeated call that changes nothing: what it repeats is in the log up to here. */
export async function currentEpoch({ db }: WriteTransaction): Promise<number> {
  const { epoch } = await db
    .selectFrom('revocation_clock')
    .select('epoch')
    .executeTakeFirstOrThrow()
  return epoch
}

/**
 * Starts the new era also where nobody makes a change: a node that has seen epochs which a promotion lost would find the log
 * gone backwards, and have no lease until then.
 */
export async function noticeTimeline(db: Kysely<Schema>): Promise<void> {
  await db
    .updateTable('revocation_clock')
    .set(startEraOfNewTimeline)
    .where(({ ref }) => isOther(ref('timeline')))
    .execute()
}

/** The first 8 digits of the name of a WAL file are its timeline. A standby that is promoted begins a new one. */
export const timeline = sql<string>`left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)`
const isOther = (noted: Expression<string>) =>
  sql<boolean>`(${noted} <> '' and ${noted} <> ${timeline})`
const nowMs = sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`

/**
 * A promotion may have lost epochs that nodes have seen: the numbers are given out once more, and only the era tells one
 * from the other. The first change of all finds no timeline noted, and nothing lost.
 */
function startEraOfNewTimeline({ ref }: ExpressionBuilder<Schema, 'revocation_clock'>) {
  const isNew = isOther(ref('timeline'))
  return {
    timeline,
    era: sql<string>`case when ${isNew} then ${randomUUID()} else ${ref('era')} end`,
    era_at: sql<number>`case when ${isNew} then ${nowMs} else ${ref('era_at')} end`,
  }
}
