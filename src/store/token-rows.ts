import type { Kysely, Selectable } from 'kysely'
import { type AccessLevel, type Grant, maxGrants } from '../core/grants.ts'
import type { Digest } from '../core/token.ts'
import type { GrantRequest, MintedToken, TokenRecord } from '../service/ports/registry.ts'
import { RefusedChange } from './change.ts'
import type { Schema, WriteTransaction } from './schema.ts'

/** How tokens and their grants lie in their tables. */

type TokenRow = Omit<Selectable<Schema['tokens']>, 'sealed' | 'search_text'>
type GrantRow = Omit<Selectable<Schema['grants']>, 'token_id'>

const tokenColumns = [
  'id',
  'account_id',
  'name',
  'digest',
  'last_four',
  'created_by',
  'created_at',
  'expires_at',
  'reset_at',
  'window_ends_at',
  'successor_id',
  'rate',
] as const

/** A token inside a transaction: its record, and the digest by which the revocation log names it. */
export interface HeldToken {
  readonly record: TokenRecord
  readonly digest: Digest
}

/** Holds the token's row until the end of the transaction, or refuses it. */
export async function holdToken(
  { db, dialect }: WriteTransaction,
  tokenId: number,
): Promise<HeldToken> {
  const query = db.selectFrom('tokens').select(tokenColumns).where('id', '=', tokenId)
  const row = await (dialect === 'postgres' ? query.forUpdate() : query).executeTakeFirst()
  if (row === undefined) throw new RefusedChange({ reason: 'no-such-token' })
  const grants = await db
    .selectFrom('grants')
    .select(['domain_id', 'level'])
    .where('token_id', '=', tokenId)
    .execute()
  return { record: tokenRecord(row, grants), digest: row.digest }
}

/** One token, several, or all of an account, by id: one statement, so that no grant is of another moment than its token. */
export async function readTokens(
  db: Kysely<Schema>,
  where:
    | { readonly id: number }
    | { readonly ids: readonly number[] }
    | { readonly accountId: number },
): Promise<TokenRecord[]> {
  const query = db
    .selectFrom('tokens')
    .leftJoin('grants', 'grants.token_id', 'tokens.id')
    .select(tokenColumns.map((column) => `tokens.${column}` as const))
    .select(['grants.domain_id', 'grants.level'])
    .orderBy('tokens.id')
  const rows = await ('id' in where
    ? query.where('tokens.id', '=', where.id)
    : 'ids' in where
      ? query.where('tokens.id', 'in', where.ids)
      : query.where('tokens.account_id', '=', where.accountId)
  ).execute()
  return [...Map.groupBy(rows, ({ id }) => id).values()].flatMap((ofToken) => {
    const [token] = ofToken
    return token === undefined ? [] : [tokenRecord(token, ofToken.flatMap(joinedGrant))]
  })
}

/** A left join gives a token without grants one row, with nulls for the grant. */
function joinedGrant({
  domain_id,
  level,
}: {
  domain_id: number | null
  level: AccessLevel | null
}) {
  return level === null ? [] : [{ domain_id, level }]
}

interface NewToken {
  readonly accountId: number
  readonly name: (id: number) => string
  readonly minted: MintedToken
  readonly createdBy: string
  readonly at: number
  readonly expiresAt: number | null
  readonly grants: readonly GrantRequest[]
  readonly rate?: string | null
}

/** A new token with its grants. Its name may carry its id, which only the insert gives. */
export async function insertToken({ db }: WriteTransaction, token: NewToken): Promise<TokenRecord> {
  const { accountId, minted, createdBy, at, expiresAt, grants } = token
  const { id } = await db
    .insertInto('tokens')
    .values({
      account_id: accountId,
      name: '',
      digest: minted.digest,
      last_four: minted.lastFour,
      sealed: minted.sealed,
      created_by: createdBy,
      created_at: at,
      expires_at: expiresAt,
      reset_at: null,
      window_ends_at: null,
      successor_id: null,
      search_text: '',
      rate: token.rate ?? null,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const name = token.name(id)
  const row = await db
    .updateTable('tokens')
    .set({ name, search_text: searchText(name, minted.lastFour) })
    .where('id', '=', id)
    .returning(tokenColumns)
    .executeTakeFirstOrThrow()
  return tokenRecord(row, await insertGrants(db, id, grants))
}

/** What a search for a token looks in. Folded here, since databases fold letters beyond ASCII each in its own way. */
export function searchText(name: string, lastFour: string): string {
  return foldedForSearch(`${name} ${lastFour}`)
}

export function foldedForSearch(text: string): string {
  return text.toLowerCase()
}

/** Grants must be about the token's own account; of two on one resource the last counts. */
export async function insertGrants(
  db: Kysely<Schema>,
  tokenId: number,
  grants: readonly GrantRequest[],
): Promise<GrantRow[]> {
  const byResource = new Map(
    grants.map(({ resource, level }) => {
      const domainId = resource.type === 'account' ? null : resource.id
      return [domainId, { token_id: tokenId, domain_id: domainId, level }]
    }),
  )
  const rows = [...byResource.values()]
  if (rows.length > 0) await db.insertInto('grants').values(rows).execute()
  return rows
}

/** Refuses grants on what is not the account's. */
export async function checkGrants(
  { db }: WriteTransaction,
  accountId: number,
  grants: readonly GrantRequest[],
) {
  if (grants.length > maxGrants) throw new RefusedChange({ reason: 'too-many-grants' })
  const ids = (type: string) =>
    new Set(
      grants.filter(({ resource }) => resource.type === type).map(({ resource }) => resource.id),
    )
  if ([...ids('account')].some((id) => id !== accountId)) {
    throw new RefusedChange({ reason: 'no-such-account' })
  }
  const domainIds = [...ids('domain')]
  if (domainIds.length === 0) return
  const own = await db
    .selectFrom('domains')
    .select('id')
    .where('id', 'in', domainIds)
    .where('account_id', '=', accountId)
    .execute()
  if (own.length !== domainIds.length) throw new RefusedChange({ reason: 'no-such-domain' })
}

/** A grant as the decision sees it. */
export function grantOf({ domain_id, level }: GrantRow, accountId: number): Grant {
  const resource =
    domain_id === null
      ? { type: 'account' as const, id: accountId }
      : { type: 'domain' as const, id: domain_id }
  // One string for all of them: a driver makes one for each row, and caches keep very many.
  return { resource, level: level === 'admin' ? 'admin' : 'viewer' }
}

function tokenRecord(row: TokenRow, grants: readonly GrantRow[]): TokenRecord {
  return {
    id: row.id,
    accountId: row.account_id,
    name: row.name,
    lastFour: row.last_four,
    rate: row.rate,
    createdBy: row.created_by,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    windowEndsAt: row.window_ends_at,
    resetAt: row.reset_at,
    successorId: row.successor_id,
    grants: grants
      .map((grant) => grantOf(grant, row.account_id))
      .sort(
        (a, b) => a.resource.type.localeCompare(b.resource.type) || a.resource.id - b.resource.id,
      ),
  }
}
