import type { Kysely } from 'kysely'
import type { Lookup } from '../service/ports.ts'
import type { Schema } from './schema.ts'
import { grantOf } from './token-rows.ts'

/** The two questions of the data plane, each one statement, and so one snapshot. */
export function createLookup({ reader }: { readonly reader: Kysely<Schema> }): Lookup {
  return {
    async findCredential(digest) {
      const rows = await reader
        .selectFrom('tokens')
        .leftJoin('grants', 'grants.token_id', 'tokens.id')
        .select(['tokens.id', 'tokens.account_id', 'tokens.expires_at', 'tokens.window_ends_at'])
        .select(['grants.domain_id', 'grants.level'])
        .where('tokens.digest', '=', digest)
        .execute()
      const [token] = rows
      if (token === undefined) return undefined
      return {
        tokenId: token.id,
        accountId: token.account_id,
        expiresAt: token.expires_at,
        windowEndsAt: token.window_ends_at,
        // A token without grants has one row, with nulls for the grant.
        grants: rows.flatMap(({ domain_id, level }) =>
          level === null ? [] : [grantOf({ domain_id, level }, token.account_id)],
        ),
      }
    },

    async findDomain(name) {
      const row = await reader
        .selectFrom('domains')
        .select(['id', 'account_id', 'name', 'state'])
        .where('name', '=', name)
        .executeTakeFirst()
      if (row === undefined) return undefined
      return { id: row.id, accountId: row.account_id, name: row.name, state: row.state }
    },
  }
}
