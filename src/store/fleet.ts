import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { FleetRegistry } from '../service/ports/fleet.ts'
import { recordAudit } from './audit.ts'
import { noticeTimeline, timeline } from './revocation-log.ts'
import type { Database, Dialect } from './schema.ts'

/** A node that was away for more changes than this knows nothing of those before, as if it were new. */
const maxEntriesRead = 10_000

/** Leases, acknowledgements and the reading of the log: the order of the calls is kept in `fleet/`. */
export function createFleetRegistry(database: Database): FleetRegistry {
  const { dialect } = database
  const { reader, write, note, watch } = database.fleet
  const now = databaseClock(dialect)

  return {
    addNode: ({ incarnation, name, holdMs, at }) =>
      write(async (db) => {
        await db
          .insertInto('nodes')
          .values({
            incarnation,
            name,
            started_at: at,
            renewed_at: at,
            renewal: 0,
            applied_epoch: 0,
            hold_ms: holdMs,
            fenced: 0,
          })
          .execute()
      }),

    renewNode: ({ incarnation, applied, at }) =>
      note(async (db) => {
        if (dialect === 'postgres') await noticeTimeline(db)
        const row = await db
          .updateTable('nodes')
          .set({
            renewal: sql<number>`renewal + 1`,
            renewed_at: at,
            applied_epoch: appliedEpoch(dialect, applied),
          })
          .where('incarnation', '=', incarnation)
          .where('fenced', '=', 0)
          .returning('renewal')
          .executeTakeFirst()
        return row?.renewal
      }),

    async readLog({ incarnation, after }) {
      const rows = await reader
        .selectFrom('revocation_clock as clock')
        .leftJoin('nodes', (join) => join.on('nodes.incarnation', '=', incarnation))
        .leftJoin('revocations', (join) =>
          join
            .on('revocations.epoch', '>', after)
            .on(({ eb, ref }) =>
              eb('revocations.epoch', '>', eb(ref('clock.epoch'), '-', maxEntriesRead)),
            ),
        )
        .select(['clock.era', 'clock.epoch', 'clock.pruned_through', 'nodes.renewal', now.as('at')])
        .select(['revocations.epoch as entry_epoch', 'revocations.keys'])
        .orderBy('revocations.epoch')
        .execute()
      const [first] = rows
      if (first === undefined) throw new Error('the revocation log has no clock')
      const { era, epoch, pruned_through, renewal, at } = first
      return {
        era,
        epoch,
        renewal,
        at,
        completeFrom: Math.max(pruned_through, epoch - maxEntriesRead),
        // Without entries there is one row, with nulls for the entry.
        entries: rows.flatMap(({ entry_epoch, keys }) =>
          entry_epoch === null || keys === null
            ? []
            : [{ epoch: entry_epoch, keys: JSON.parse(keys) }],
        ),
      }
    },

    acknowledge: ({ incarnation, applied }) =>
      note(async (db) => {
        await db
          .updateTable('nodes')
          .set({ applied_epoch: appliedEpoch(dialect, applied) })
          .where('incarnation', '=', incarnation)
          .where(({ eb, selectFrom }) =>
            eb(selectFrom('revocation_clock').select('era'), '=', applied.era),
          )
          .execute()
      }),

    removeNode: ({ incarnation, renewal }) =>
      write(async (db) => {
        await db
          .deleteFrom('nodes')
          .where('incarnation', '=', incarnation)
          .$if(renewal !== undefined, (query) => query.where('renewal', '=', renewal ?? 0))
          .execute()
      }),

    async readNodes() {
      const rows = await reader
        .selectFrom('revocation_clock as clock')
        .leftJoin('nodes', (join) => join.on('nodes.fenced', '=', 0))
        .select(['clock.era', 'clock.epoch', 'clock.era_at', now.as('at')])
        .select(['nodes.incarnation', 'nodes.renewal', 'nodes.renewed_at'])
        .select(['nodes.applied_epoch', 'nodes.hold_ms'])
        .execute()
      const [first] = rows
      if (first === undefined) throw new Error('the revocation log has no clock')
      return {
        moment: { era: first.era, epoch: first.epoch },
        eraAgeMs: first.at - first.era_at,
        nodes: rows.flatMap(
          ({ incarnation, renewal, renewed_at: renewedAt, applied_epoch, hold_ms }) =>
            incarnation === null ||
            renewal === null ||
            renewedAt === null ||
            applied_epoch === null ||
            hold_ms === null
              ? []
              : [{ incarnation, renewal, renewedAt, appliedEpoch: applied_epoch, holdMs: hold_ms }],
        ),
      }
    },

    async listNodes() {
      const rows = await reader.selectFrom('nodes').selectAll().orderBy('started_at').execute()
      return rows.map((row) => ({
        incarnation: row.incarnation,
        name: row.name,
        startedAt: row.started_at,
        renewedAt: row.renewed_at,
        renewal: row.renewal,
        appliedEpoch: row.applied_epoch,
        holdMs: row.hold_ms,
        fenced: row.fenced === 1,
      }))
    },

    async readAcknowledgements(incarnations) {
      if (incarnations.length === 0) return new Map()
      const rows = await reader
        .selectFrom('nodes')
        .select(['incarnation', 'applied_epoch'])
        .where('incarnation', 'in', incarnations)
        .where('fenced', '=', 0)
        .execute()
      return new Map(rows.map(({ incarnation, applied_epoch }) => [incarnation, applied_epoch]))
    },

    fenceNode: ({ incarnation, renewal, renewedAt }) =>
      write(async (db) => {
        // A row that somebody holds is being renewed, or fenced already.
        const free = db
          .selectFrom('nodes')
          .select('incarnation')
          .where('incarnation', '=', incarnation)
          .where('renewal', '=', renewal)
          .where('renewed_at', '=', renewedAt)
        await db
          .updateTable('nodes')
          .set({ fenced: 1 })
          .where('incarnation', 'in', dialect === 'postgres' ? free.forUpdate().skipLocked() : free)
          .execute()
      }),

    async pruneLog({ entries, tombstones }) {
      const through = await write(async (db) => {
        const { epoch } = await db
          .selectFrom('revocations')
          .select(({ fn }) => fn.max('epoch').as('epoch'))
          .where('at', '<', entries)
          .executeTakeFirstOrThrow()
        // Committed before any row goes: it says what the missing rows no longer can.
        if (epoch !== null) {
          await db
            .updateTable('revocation_clock')
            .set({ pruned_through: epoch })
            .where('pruned_through', '<', epoch)
            .execute()
        }
        return epoch
      })
      await write(async (db) => {
        if (through !== null) {
          await db.deleteFrom('revocations').where('epoch', '<=', through).execute()
        }
        await db.deleteFrom('token_tombstones').where('at', '<', tombstones).execute()
      })
    },

    watchLog: watch,

    beginEra: ({ actor, at }) =>
      database.write(async (transaction) => {
        const { db } = transaction
        const before = await db
          .selectFrom('revocation_clock')
          .select('era')
          .executeTakeFirstOrThrow()
        const begun = await db
          .updateTable('revocation_clock')
          .set({ era: randomUUID(), era_at: now })
          // Else the next change would begin yet another one.
          .$if(dialect === 'postgres', (update) => update.set({ timeline }))
          .returning(['era', 'epoch'])
          .executeTakeFirstOrThrow()
        const subject = { type: 'fleet', id: 0 } as const
        const event = { at, actor, accountId: null, action: 'fleet.era_begun', subject }
        await recordAudit(transaction, { ...event, before, after: begun })
        return begun
      }),

    async readClock() {
      const { rows } = await sql<{ at: number }>`select ${now} as at`.execute(reader)
      const [row] = rows
      if (row === undefined) throw new Error('the database has no clock')
      return row.at
    },
  }
}

/**
 * In another era the number means nothing: the node then counts as one that has applied none of it. Nor does one that the
 * log has not got to: it was lost when a standby was promoted, and will be given to another change, in an era that only
 * begins with that one.
 */
function appliedEpoch(dialect: Dialect, applied: { era: string; epoch: number } | undefined) {
  const { era = '', epoch = 0 } = applied ?? {}
  const [greatest, least] = (dialect === 'sqlite' ? ['max', 'min'] : ['greatest', 'least']).map(
    (name) => sql.raw(name),
  )
  return sql<number>`case when (select era from revocation_clock) = ${era}
    then ${least}((select epoch from revocation_clock), ${greatest}(applied_epoch, ${epoch}))
    else 0 end`
}

function databaseClock(dialect: Dialect) {
  return dialect === 'sqlite'
    ? sql<number>`cast(unixepoch('subsec') * 1000 as integer)`
    : sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`
}
