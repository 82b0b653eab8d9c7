import type { Once } from '../service/ports/registry.ts'
import { RefusedChange } from './change.ts'
import type { WriteTransaction } from './schema.ts'

/** As long as a client that lost the answer may go on trying. A sealed secret is kept for it meanwhile. */
const keptMs = 600_000

/** The first call under a key: what it made, and the secret that it was answered with, sealed. */
export interface EarlierCall {
  readonly tokenId: number
  readonly sealed: string
}

/**
 * Claims the key for this transaction. A call under the same key that is under way is waited for; the one that it was is
 * answered if it is done, and undefined if this is the first.
 */
export async function claimKey(
  { db }: WriteTransaction,
  { scope, key, fingerprint, sealed }: Once,
  at: number,
): Promise<EarlierCall | undefined> {
  await db
    .deleteFrom('idempotency_keys')
    .where('at', '<', at - keptMs)
    .execute()
  const claimed = await db
    .insertInto('idempotency_keys')
    .values({ scope, key, fingerprint, at, token_id: null, sealed })
    .onConflict((conflict) => conflict.doNothing())
    .returning('key')
    .executeTakeFirst()
  if (claimed !== undefined) return undefined
  const earlier = await db
    .selectFrom('idempotency_keys')
    .select(['fingerprint', 'token_id', 'sealed'])
    .where('scope', '=', scope)
    .where('key', '=', key)
    .executeTakeFirstOrThrow()
  if (earlier.fingerprint !== fingerprint)
    throw new RefusedChange({ reason: 'key-of-another-call' })
  if (earlier.token_id === null) throw new Error('a call under way let its key be seen')
  return { tokenId: earlier.token_id, sealed: earlier.sealed }
}

/** Notes what the call made, before it is committed. */
export async function fulfilKey({ db }: WriteTransaction, { scope, key }: Once, tokenId: number) {
  await db
    .updateTable('idempotency_keys')
    .set({ token_id: tokenId })
    .where('scope', '=', scope)
    .where('key', '=', key)
    .execute()
}
