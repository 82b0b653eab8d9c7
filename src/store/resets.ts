import { revocationKey } from '../core/revocation-key.ts'
import { standing } from '../core/standing.ts'
import { successorName } from '../core/token-name.ts'
import type { Registry, TokenRecord } from '../service/ports/registry.ts'
import { auditedToken, recordAudit } from './audit.ts'
import { change, RefusedChange } from './change.ts'
import { claimKey, type EarlierCall, fulfilKey } from './idempotency.ts'
import { domainsRestingOn, holdTokenAndDomains, keepLastTokens } from './last-token.ts'
import { holdTokenFor } from './power.ts'
import { currentEpoch, takeEpoch } from './revocation-log.ts'
import type { Database, WriteTransaction } from './schema.ts'
import { type HeldToken, insertToken, readTokens } from './token-rows.ts'

type ResetRegistry = Pick<Registry, 'resetToken' | 'undoReset' | 'changeWindow'>

/** The reset window: a successor is minted, and the old token lives on for a while. */
export function createResetRegistry(database: Database): ResetRegistry {
  return {
    resetToken: ({ tokenId, windowEndsAt, expiresAt, token: minted, once, actor, at }) =>
      change(database, async (transaction) => {
        const earlier = once && (await claimKey(transaction, once, at))
        if (earlier !== undefined) return repeatReset(transaction, tokenId, earlier, { actor, at })
        const held = await holdTokenAndDomains(transaction, tokenId, { actor, at })
        const before = held.record
        refuseSecondReset(before)
        if (standing(before, at) === 'expired') throw new RefusedChange({ reason: 'expired' })
        const successor = await insertToken(transaction, {
          accountId: before.accountId,
          name: (id) => successorName(before.name, tokenId, id),
          minted,
          createdBy: actor.name,
          at,
          expiresAt: expiresAt === undefined ? before.expiresAt : expiresAt,
          grants: before.grants,
          rate: before.rate,
        })
        const old = await setWindow(transaction, before, {
          resetAt: at,
          windowEndsAt,
          successorId: successor.id,
        })
        await keepLastTokens(transaction, domainsRestingOn(before))
        if (once !== undefined) await fulfilKey(transaction, once, successor.id)
        const subject = { type: 'token', id: successor.id } as const
        const event = { at, actor, accountId: before.accountId, action: 'token.created', subject }
        await recordAudit(transaction, { ...event, after: auditedToken(successor) })
        const epoch = await conclude(transaction, held, old, { at, actor, action: 'token.reset' })
        return { value: { old, successor }, epoch }
      }),

    undoReset: ({ tokenId, actor, at }) =>
      change(database, async (transaction) => {
        const held = await holdTokenFor(transaction, tokenId, { actor, at })
        requireRunningWindow(held.record, at)
        const after = await setWindow(transaction, held.record, noWindow)
        const event = { at, actor, action: 'token.reset_undone' }
        return { value: after, epoch: await conclude(transaction, held, after, event) }
      }),

    changeWindow: ({ tokenId, windowEndsAt, latestMs, actor, at }) =>
      change(database, async (transaction) => {
        const held = await holdTokenFor(transaction, tokenId, { actor, at })
        const { resetAt, successorId } = requireRunningWindow(held.record, at)
        const latest = resetAt + latestMs
        if (windowEndsAt > latest) throw new RefusedChange({ reason: 'window-too-long', latest })
        const window = { resetAt, windowEndsAt, successorId }
        const after = await setWindow(transaction, held.record, window)
        const event = { at, actor, action: 'token.window_changed' }
        return { value: after, epoch: await conclude(transaction, held, after, event) }
      }),
  }
}

/** What the first call answered, as far as it is still there. */
async function repeatReset(
  transaction: WriteTransaction,
  tokenId: number,
  earlier: EarlierCall,
  asking: Parameters<typeof holdTokenFor>[2],
) {
  const { record: successor } = await holdTokenFor(transaction, earlier.tokenId, asking)
  const [old] = await readTokens(transaction.db, { id: tokenId })
  const epoch = await currentEpoch(transaction)
  return { value: { old, successor }, epoch, repeats: earlier.sealed }
}

const noWindow = { resetAt: null, windowEndsAt: null, successorId: null }

function refuseSecondReset({ resetAt, successorId }: TokenRecord) {
  if (resetAt === null || successorId === null) return
  throw new RefusedChange({ reason: 'already-reset', at: resetAt, successorId })
}

/** After its end a window can be neither moved nor taken back. */
function requireRunningWindow(token: TokenRecord, at: number) {
  const { resetAt, successorId } = token
  if (resetAt === null || successorId === null) throw new RefusedChange({ reason: 'not-reset' })
  if (standing(token, at) === 'expired') throw new RefusedChange({ reason: 'expired' })
  return { resetAt, successorId }
}

async function setWindow(
  { db }: WriteTransaction,
  token: TokenRecord,
  window: Pick<TokenRecord, 'resetAt' | 'windowEndsAt' | 'successorId'>,
): Promise<TokenRecord> {
  await db
    .updateTable('tokens')
    .set({
      reset_at: window.resetAt,
      window_ends_at: window.windowEndsAt,
      successor_id: window.successorId,
    })
    .where('id', '=', token.id)
    .execute()
  return { ...token, ...window }
}

/** The audit row of the old token, and the epoch from which every node knows its new end. */
async function conclude(
  transaction: WriteTransaction,
  { record: before, digest }: HeldToken,
  after: TokenRecord,
  event: { at: number; actor: Parameters<typeof recordAudit>[1]['actor']; action: string },
): Promise<number> {
  await recordAudit(transaction, {
    ...event,
    accountId: before.accountId,
    subject: { type: 'token', id: before.id },
    before: auditedToken(before),
    after: auditedToken(after),
  })
  return takeEpoch(transaction, [revocationKey.token(digest)], event.at)
}
