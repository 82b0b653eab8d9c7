import { type Kysely, type SqlBool, sql } from 'kysely'
import { administersAccount } from '../core/authority.ts'
import type { Registry } from '../service/ports/registry.ts'
import type { Schema } from './schema.ts'
import { foldedForSearch, readTokens } from './token-rows.ts'

type PageRequest = Parameters<Registry['pageTokens']>[0]
type Viewer = NonNullable<PageRequest['seenBy']>

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
  const viewer = seenBy === undefined || administersAccount(seenBy) ? undefined : seenBy
  const domainId = theOnly(onDomains) ?? theOnly(viewer && ownDomains(viewer))
  const tokenId = sql.ref<number>(domainId === undefined ? 'tokens.id' : 'grants.token_id')
  let query = reader
    .selectFrom('tokens')
    // Of one domain alone, an index has the tokens in order, and no database needs statistics to see that.
    .$if(domainId !== undefined, (tokens) =>
      tokens.innerJoin('grants', (join) =>
        join.onRef('grants.token_id', '=', 'tokens.id').on('grants.domain_id', '=', domainId ?? 0),
      ),
    )
    .select('tokens.id')
    .where('tokens.account_id', '=', accountId)
    .where(tokenId, '>', after)
    .orderBy(tokenId)
    .limit(limit)
  if (search !== undefined) query = query.where(containing(foldedForSearch(search)))
  if (onDomains !== undefined && onDomains.length !== 1) {
    query = query.where('tokens.id', 'in', ({ selectFrom }) =>
      selectFrom('grants').select('token_id').where('domain_id', 'in', onDomains),
    )
  }
  if (viewer !== undefined) {
    query = query.where(domainId === undefined ? visibleAmongAll(viewer) : visible(viewer))
  }
  return (await query.execute()).map(({ id }) => id)
}

function theOnly(ids: readonly number[] = []): number | undefined {
  return ids.length === 1 ? ids[0] : undefined
}

/** None when it has a grant on the account: then it sees more than what has grants on these. */
function ownDomains({ grants }: Viewer): number[] {
  const isOnDomains = grants.every(({ resource }) => resource.type === 'domain')
  return isOnDomains ? grants.map(({ resource }) => resource.id) : []
}

function containing(text: string) {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
  return sql<SqlBool>`search_text like ${pattern} escape '\\'`
}

/** `sees` of core/authority.ts as SQL, for tokens with a grant. Counted, so that it is asked of one token after another. */
function visible(viewer: Viewer) {
  return sql<SqlBool>`(select count(*) ${uncovered(viewer)}) = 0`
}

/**
 * The same of all tokens. The first condition finds the candidates by an index: unless the caller's grant is on the
 * account, what it sees has a grant on one of its own domains.
 */
function visibleAmongAll(viewer: Viewer) {
  const candidates =
    ownDomains(viewer).length === 0
      ? sql`select token_id from grants where token_id = tokens.id`
      : sql`select other.token_id from grants other
        join grants own on own.domain_id = other.domain_id where own.token_id = ${viewer.tokenId}`
  return sql<SqlBool>`tokens.id in (${candidates}) and not exists (select 1 ${uncovered(viewer)})`
}

/** Grants of a token that the caller's own do not cover. */
function uncovered({ tokenId }: Viewer) {
  return sql`from grants held where held.token_id = tokens.id and not exists (
    select 1 from grants own where own.token_id = ${tokenId}
      and (own.domain_id is null or own.domain_id = held.domain_id)
      and (own.level = 'admin' or held.level = 'viewer'))`
}
