import { type Kysely, type SqlBool, sql } from 'kysely'
import { administersAccount } from '../core/authority.ts'
import type { Registry } from '../service/ports.ts'
import type { Schema } from './schema.ts'
import { foldedForSearch, readTokens } from './token-rows.ts'

type PageRequest = Parameters<Registry['pageTokens']>[0]

/**
 * Lists of an account's tokens by id, a page at a time, in the same time however many there are. What the caller may not
 * see is left out by the statement, so that a page is as long as it was asked to be.
 */
export function createTokenPages({
  reader,
}: {
  readonly reader: Kysely<Schema>
}): Pick<Registry, 'pageTokens'> {
  return {
    async pageTokens(request) {
      const ids = await pageIds(reader, request)
      return ids.length === 0 ? [] : readTokens(reader, { ids })
    },
  }
}

async function pageIds(reader: Kysely<Schema>, request: PageRequest): Promise<number[]> {
  const { accountId, after, limit, search, seenBy, onDomains } = request
  let query = reader
    .selectFrom('tokens')
    .select('id')
    .where('account_id', '=', accountId)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
  if (search !== undefined) query = query.where(containing(foldedForSearch(search)))
  if (onDomains !== undefined) {
    query = query.where('id', 'in', ({ selectFrom }) =>
      selectFrom('grants').select('token_id').where('domain_id', 'in', onDomains),
    )
  }
  if (seenBy !== undefined && !administersAccount(seenBy)) query = query.where(visibleTo(seenBy))
  return (await query.execute()).map(({ id }) => id)
}

function containing(text: string) {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
  return sql<SqlBool>`search_text like ${pattern} escape '\\'`
}

/**
 * `sees` of core/authority.ts as SQL, for a caller without admin on the account. The first condition finds the candidates
 * by an index: unless its grant is on the account, what it sees has a grant on one of its own domains.
 */
function visibleTo({ tokenId, grants }: NonNullable<PageRequest['seenBy']>) {
  const onAccount = grants.some(({ resource }) => resource.type === 'account')
  const candidates = onAccount
    ? sql`select token_id from grants where token_id = tokens.id`
    : sql`select other.token_id from grants other
        join grants own on own.domain_id = other.domain_id where own.token_id = ${tokenId}`
  return sql<SqlBool>`tokens.id in (${candidates}) and not exists (
    select 1 from grants held where held.token_id = tokens.id and not exists (
      select 1 from grants own where own.token_id = ${tokenId}
        and (own.domain_id is null or own.domain_id = held.domain_id)
        and (own.level = 'admin' or held.level = 'viewer')))`
}
