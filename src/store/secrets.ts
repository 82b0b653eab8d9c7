import type { SecretStore } from '../service/ports/secrets.ts'
import { recordAudit } from './audit.ts'
import type { Database } from './schema.ts'

/** Sealed secrets that a fleet shares; the store never sees what is in them. */
export function createSecretStore(database: Database): SecretStore {
  return {
    async listSecrets(kind) {
      const rows = await database.reader
        .selectFrom('secrets')
        .selectAll()
        .where('kind', '=', kind)
        .orderBy('created_at', 'desc')
        .execute()
      return rows.map(({ id, created_at, retired_at, sealed }) => ({
        id,
        kind,
        createdAt: created_at,
        retiredAt: retired_at,
        sealed,
      }))
    },

    putSecret: ({ id, kind, createdAt, sealed }, { retirePreviousAt, onlyIfNone, actor }) =>
      database.write(async (transaction) => {
        const { db } = transaction
        if (!onlyIfNone) {
          await db
            .updateTable('secrets')
            .set({ retired_at: retirePreviousAt })
            .where('kind', '=', kind)
            .where('retired_at', 'is', null)
            .execute()
        }
        // The index on the current secret of a kind lets only one of two nodes through.
        const { numInsertedOrUpdatedRows = 0n } = await db
          .insertInto('secrets')
          .values({ id, kind, created_at: createdAt, retired_at: null, sealed })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirstOrThrow()
        const stored = numInsertedOrUpdatedRows > 0n
        if (stored) {
          const subject = { type: 'key', id: 0 } as const
          const event = { at: createdAt, actor, accountId: null, action: 'key.created', subject }
          await recordAudit(transaction, { ...event, after: { kind, id } })
        }
        return stored
      }),
  }
}
