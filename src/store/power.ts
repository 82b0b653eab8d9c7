import { type Holder, manages } from '../core/authority.ts'
import { standing } from '../core/standing.ts'
import type { Actor } from '../service/ports/registry.ts'
import { RefusedChange } from './change.ts'
import type { WriteTransaction } from './schema.ts'
import { type HeldToken, holdToken, readTokens } from './token-rows.ts'

/**
 * A change that a token asks for is judged in the transaction that makes it, with that token's row held: when the deletion
 * of a token has answered, nothing that it was just asking for can still come to be.
 */

interface Asking {
  readonly actor: Actor
  readonly at: number
}

/** Holds the row of the token that asks, if one does, until the end of the transaction. */
export async function holdCaller(
  { db, dialect }: WriteTransaction,
  { actor }: Pick<Asking, 'actor'>,
) {
  // On SQLite the whole transaction is alone already.
  if (actor.tokenId === undefined || dialect === 'sqlite') return
  await db.selectFrom('tokens').select('id').where('id', '=', actor.tokenId).forShare().execute()
}

/**
 * Holds the row of a token that is to change and of the one that asks, as far as they are there: in the order of their ids,
 * so that no two wait for each other.
 */
export async function holdRows(
  transaction: WriteTransaction,
  tokenId: number,
  { actor }: Pick<Asking, 'actor'>,
) {
  const { db, dialect } = transaction
  if (dialect === 'sqlite') return
  const callerFirst = actor.tokenId !== undefined && actor.tokenId < tokenId
  if (callerFirst) await holdCaller(transaction, { actor })
  await db.selectFrom('tokens').select('id').where('id', '=', tokenId).forUpdate().execute()
  if (!callerFirst) await holdCaller(transaction, { actor })
}

/** Holds a token for a change of it. */
export async function holdTokenFor(
  transaction: WriteTransaction,
  tokenId: number,
  asking: Asking,
): Promise<HeldToken> {
  await holdRows(transaction, tokenId, asking)
  const held = await holdToken(transaction, tokenId)
  await requirePower(transaction, held.record, asking)
  return held
}

/** Refuses what the token that asks does not manage, as of now. Whoever is no token may do anything. */
export async function requirePower(
  { db }: WriteTransaction,
  target: Holder,
  { actor, at }: Asking,
) {
  if (actor.tokenId === undefined) return
  const [caller] = await readTokens(db, { id: actor.tokenId })
  if (caller === undefined || standing(caller, at) === 'expired') {
    throw new RefusedChange({ reason: 'caller-gone' })
  }
  if (!manages(caller, target)) throw new RefusedChange({ reason: 'not-permitted' })
}
