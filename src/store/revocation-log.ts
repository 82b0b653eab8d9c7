import { hash } from 'node:crypto'
import { sql } from 'kysely'
import type { Digest } from '../core/token.ts'
import type { WriteTransaction } from './schema.ts'

/** What a cached record can be about. A change names each whose records are no longer true. */
export const revocationKey = {
  token: (digest: Digest) => `token:${digest}`,
  domain: (id: number) => `domain:${id}`,
  /** Also of a name that nobody has yet: that it is unknown may be cached. */
  name: (domain: string) => `name:${hash('sha256', domain, 'base64url')}`,
  account: (id: number) => `account:${id}`,
}

/**
 * Takes the next epoch and writes the change into the log. It is the last lock of every transaction: epochs then commit in
 * their order, and a reader that has seen one has seen all before it. A sequence would not give that.
 */
export async function takeEpoch(
  { db }: WriteTransaction,
  keys: readonly string[],
  at: number,
): Promise<number> {
  const { epoch } = await db
    .updateTable('revocation_clock')
    .set({ epoch: sql<number>`epoch + 1` })
    .returning('epoch')
    .executeTakeFirstOrThrow()
  await db
    .insertInto('revocations')
    .values({ epoch, keys: JSON.stringify(keys), at })
    .execute()
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
