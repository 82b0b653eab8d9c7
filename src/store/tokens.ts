import { revocationKey } from '../core/revocation-key.ts'
import type { Registry } from '../service/ports/registry.ts'
import { auditedToken, recordAudit } from './audit.ts'
import { change, RefusedChange } from './change.ts'
import { requireAccount } from './domains.ts'
import { claimKey, fulfilKey } from './idempotency.ts'
import { noteEnded } from './imports.ts'
import { domainsRestingOn, holdTokenAndDomains, keepLastTokens } from './last-token.ts'
import { holdCaller, holdRows, holdTokenFor, requirePower } from './power.ts'
import { currentEpoch, takeEpoch } from './revocation-log.ts'
import type { Database, WriteTransaction } from './schema.ts'
import { checkGrants, holdToken, insertToken, readTokens } from './token-rows.ts'

type TokenRegistry = Pick<
  Registry,
  | 'createToken'
  | 'getToken'
  | 'listTokens'
  | 'wasDeleted'
  | 'deleteToken'
  | 'openSealedCopy'
  | 'sweepExpired'
>

const sweeper = { name: 'System', origin: 'sweeper' }

/** Tokens from their making to their end; `resets.ts` has the reset window. */
export function createTokenRegistry(database: Database): TokenRegistry {
  return {
    createToken: ({ accountId, name, grants, expiresAt, token: minted, once, actor, at }) =>
      change(database, async (transaction) => {
        const earlier = once && (await claimKey(transaction, once, at))
        await holdCaller(transaction, { actor })
        await requirePower(transaction, { accountId, grants }, { actor, at })
        if (earlier !== undefined) {
          const { record } = await holdToken(transaction, earlier.tokenId)
          return { value: record, epoch: null, repeats: earlier.sealed }
        }
        await requireAccount(transaction, accountId)
        await checkGrants(transaction, accountId, grants)
        const token = await insertToken(transaction, {
          accountId,
          name: () => name,
          minted,
          createdBy: actor.name,
          at,
          expiresAt,
          grants,
        })
        const subject = { type: 'token', id: token.id } as const
        const event = { at, actor, accountId, action: 'token.created', subject }
        await recordAudit(transaction, { ...event, after: auditedToken(token) })
        if (once !== undefined) await fulfilKey(transaction, once, token.id)
        // Nobody can have asked for a secret that did not exist: no node has anything to forget.
        return { value: token, epoch: null }
      }),

    async getToken(tokenId) {
      const [token] = await readTokens(database.reader, { id: tokenId })
      return token
    },

    async wasDeleted(tokenId, accountId) {
      const row = await database.reader
        .selectFrom('token_tombstones')
        .select('token_id')
        .where('token_id', '=', tokenId)
        .where('account_id', '=', accountId)
        .executeTakeFirst()
      return row !== undefined
    },

    listTokens: (accountId) => readTokens(database.reader, { accountId }),

    deleteToken: ({ tokenId, actor, at }) =>
      change<{ tokenId: number; repeated: boolean }>(database, async (transaction) => {
        await holdRows(transaction, tokenId, { actor })
        if (await isDeleted(transaction, tokenId)) {
          // A write: this commit too waits for the standby that the first may not have reached.
          await transaction.db
            .updateTable('token_tombstones')
            .set(({ ref }) => ({ at: ref('at') }))
            .where('token_id', '=', tokenId)
            .execute()
          return { value: { tokenId, repeated: true }, epoch: await currentEpoch(transaction) }
        }
        const held = await holdTokenAndDomains(transaction, tokenId, { actor, at })
        const { record, digest } = held
        await transaction.db.deleteFrom('tokens').where('id', '=', tokenId).execute()
        await noteEnded(transaction, [digest], at)
        await keepLastTokens(transaction, domainsRestingOn(record))
        const subject = { type: 'token', id: tokenId } as const
        const event = { at, actor, accountId: record.accountId, action: 'token.deleted', subject }
        await recordAudit(transaction, { ...event, before: auditedToken(record) })
        const epoch = await takeEpoch(transaction, [revocationKey.token(digest)], at)
        await transaction.db
          .insertInto('token_tombstones')
          .values({ token_id: tokenId, account_id: record.accountId, epoch, at })
          .execute()
        return { value: { tokenId, repeated: false }, epoch }
      }),

    openSealedCopy: ({ tokenId, actor, at }) =>
      change(database, async (transaction) => {
        await holdTokenFor(transaction, tokenId, { actor, at })
        const row = await transaction.db
          .selectFrom('tokens')
          .select(['account_id', 'sealed'])
          .where('id', '=', tokenId)
          .executeTakeFirstOrThrow()
        if (row.sealed === null) throw new RefusedChange({ reason: 'not-sealed' })
        const subject = { type: 'token', id: tokenId } as const
        const event = { at, actor, accountId: row.account_id, action: 'token.revealed', subject }
        await recordAudit(transaction, event)
        return { value: row.sealed, epoch: null }
      }),

    sweepExpired: ({ endedBefore, at, limit }) =>
      database.write((transaction) => sweep(transaction, { endedBefore, at, limit })),
  }
}

/** A token that two calls delete at once: the second has waited for its row, and then finds the tombstone. */
async function isDeleted({ db }: WriteTransaction, tokenId: number): Promise<boolean> {
  const tombstone = await db
    .selectFrom('token_tombstones')
    .select('token_id')
    .where('token_id', '=', tokenId)
    .executeTakeFirst()
  return tombstone !== undefined
}

async function sweep(
  transaction: WriteTransaction,
  { endedBefore, at, limit }: { endedBefore: number; at: number; limit: number },
): Promise<number> {
  const ended = transaction.db
    .selectFrom('tokens')
    .select(['id', 'account_id', 'name', 'digest'])
    .where((token) =>
      token.or([
        token('expires_at', '<=', endedBefore),
        token('window_ends_at', '<=', endedBefore),
      ]),
    )
    .orderBy('id')
    .limit(limit)
  // Two nodes may sweep at once: each takes the rows that the other does not hold.
  const rows = await (transaction.dialect === 'postgres'
    ? ended.forUpdate().skipLocked()
    : ended
  ).execute()
  for (const { id, account_id, name } of rows) {
    const subject = { type: 'token', id } as const
    const event = { at, actor: sweeper, accountId: account_id, action: 'token.expired', subject }
    await recordAudit(transaction, { ...event, before: { name } })
  }
  if (rows.length > 0) {
    const ids = rows.map(({ id }) => id)
    await transaction.db.deleteFrom('tokens').where('id', 'in', ids).execute()
    await noteEnded(
      transaction,
      rows.map(({ digest }) => digest),
      at,
    )
  }
  return rows.length
}
