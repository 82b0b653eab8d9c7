import type { GrantRequest, TokenRecord } from '../service/ports/registry.ts'
import { RefusedChange } from './change.ts'
import { holdTokenFor } from './power.ts'
import type { WriteTransaction } from './schema.ts'
import { type HeldToken, holdToken } from './token-rows.ts'

/**
 * The last-token rule: every domain keeps at least one *lasting* token, with an explicit admin grant on it and no
 * scheduled end. Admin on the account does not count.
 */

/** The domains that may lose their last token when something happens to this one. */
export function domainsRestingOn({ expiresAt, windowEndsAt, grants }: TokenRecord): number[] {
  if (expiresAt !== null || windowEndsAt !== null) return []
  return domainIdsOf(grants.filter(({ level }) => level === 'admin'))
}

/**
 * Holds the token's row and every domain that it has a grant on; then reads it again, since a domain may
 * have gone while this transaction waited. Two changes then cannot each count the token that the other takes away.
 */
export async function holdTokenAndDomains(
  transaction: WriteTransaction,
  tokenId: number,
  asking: Parameters<typeof holdTokenFor>[2],
): Promise<HeldToken> {
  const held = await holdTokenFor(transaction, tokenId, asking)
  await lockDomainsOf(transaction, held.record.grants)
  return holdToken(transaction, tokenId)
}

/** In the order of ids: no two wait for each other. `FOR UPDATE` would also hold up new grants. */
export async function lockDomainsOf(
  { db, dialect }: WriteTransaction,
  grants: readonly GrantRequest[],
) {
  const domainIds = domainIdsOf(grants)
  // On SQLite the whole transaction is alone already.
  if (dialect === 'sqlite' || domainIds.length === 0) return
  await db
    .selectFrom('domains')
    .select('id')
    .where('id', 'in', domainIds)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute()
}

function domainIdsOf(grants: readonly GrantRequest[]): number[] {
  const onDomains = grants.filter(({ resource }) => resource.type === 'domain')
  return [...new Set(onDomains.map(({ resource }) => resource.id))]
}

/**
 * Refuses the transaction if one of these locked domains is left without a lasting token. It counts in a statement of its
 * own: only that sees what was committed while this transaction waited for the lock.
 */
export async function keepLastTokens({ db }: WriteTransaction, domainIds: readonly number[]) {
  if (domainIds.length === 0) return
  const bare = await db
    .selectFrom('domains')
    .select('name')
    .where('id', 'in', domainIds)
    .where(
      // The first one that is found: `not exists` is planned as a join with all tokens of the domain, however many.
      ({ selectFrom }) =>
        selectFrom('grants')
          .innerJoin('tokens', 'tokens.id', 'grants.token_id')
          .select('grants.token_id')
          .whereRef('grants.domain_id', '=', 'domains.id')
          .where('grants.level', '=', 'admin')
          .where('tokens.expires_at', 'is', null)
          .where('tokens.window_ends_at', 'is', null)
          .limit(1),
      'is',
      null,
    )
    .orderBy('name')
    .execute()
  if (bare.length === 0) return
  throw new RefusedChange({ reason: 'last-token', domains: bare.map(({ name }) => name) })
}
