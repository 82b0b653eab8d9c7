import type { ExpressionBuilder, Kysely } from 'kysely'
import type { AccessLevel } from '../core/grants.ts'
import { ownRate } from '../core/rate.ts'
import { credentialSighting, domainSighting } from '../core/sighting.ts'
import type { Lookup } from '../service/ports/lookup.ts'
import type { Schema } from './schema.ts'
import { grantOf } from './token-rows.ts'

/**
 * The two questions of the data plane. Each is one statement that joins the row with the clock of the revocation log, so
 * that record and moment are of one snapshot, and there is a moment also where there is no row.
 */
export function createLookup({ reader }: { readonly reader: Kysely<Schema> }): Lookup {
  return {
    async findCredential(digest) {
      const rows = await reader
        .selectFrom('revocation_clock')
        .leftJoin('tokens', (join) => join.on('tokens.digest', '=', digest))
        .leftJoin('grants', 'grants.token_id', 'tokens.id')
        .select(['revocation_clock.era', 'revocation_clock.epoch'])
        .select(['tokens.id', 'tokens.account_id', 'tokens.expires_at', 'tokens.window_ends_at'])
        .select('tokens.rate')
        .select(['grants.domain_id', 'grants.level'])
        .execute()
      const [first] = rows
      if (first === undefined) throw new Error('the revocation log has no clock')
      const { id, account_id } = first
      if (id === null || account_id === null) return credentialSighting(digest, undefined, first)
      const credential = {
        tokenId: id,
        accountId: account_id,
        expiresAt: first.expires_at,
        windowEndsAt: first.window_ends_at,
        rate: ownRate(first.rate),
        grants: rows.filter(hasGrant).map((row) => grantOf(row, account_id)),
      }
      return credentialSighting(digest, credential, first)
    },

    async findDomain(name) {
      const row = await reader
        .selectFrom('revocation_clock')
        .leftJoin('domains', (join) => join.on('domains.id', '=', (of) => holderOf(of, name)))
        .select(['revocation_clock.era', 'revocation_clock.epoch'])
        .select(['domains.id', 'domains.account_id', 'domains.state'])
        .executeTakeFirstOrThrow()
      const { id, account_id: accountId, state } = row
      const isThere = id !== null && accountId !== null && state !== null
      return domainSighting(name, isThere ? { id, accountId, name, state } : undefined, row)
    },
  }
}

/** A token without grants has one row, with nulls for the grant. */
function hasGrant<T extends { level: AccessLevel | null }>(
  row: T,
): row is T & { level: AccessLevel } {
  return row.level !== null
}

/** The domain of the account that has proven the name; else one of those that claim it. In the order of the index. */
function holderOf({ selectFrom }: ExpressionBuilder<Schema, 'domains'>, name: string) {
  return selectFrom('domains as named')
    .select('named.id')
    .where('named.name', '=', name)
    .orderBy('named.state', 'desc')
    .orderBy('named.id', 'desc')
    .limit(1)
}
