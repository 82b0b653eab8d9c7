import { sql } from 'kysely'
import type { NamedGrant } from '../core/imported-credential.ts'
import { revocationKey } from '../core/revocation-key.ts'
import type { Digest } from '../core/token.ts'
import type { ImportOutcome, ImportRegistry, TokenToImport } from '../service/ports/imports.ts'
import { recordAudit } from './audit.ts'
import { change } from './change.ts'
import { requireAccount } from './domains.ts'
import { isAmong, recordset } from './recordset.ts'
import { takeEpoch } from './revocation-log.ts'
import type { Database, WriteTransaction } from './schema.ts'
import { searchText } from './token-rows.ts'

/** Names our lock among all advisory locks of a database; any number that nobody else takes. */
const importLock = 7_067_837_115

/** Credentials of another program, some at a time. */
export function createImportRegistry(database: Database): ImportRegistry {
  return {
    importTokens: ({ accountId, tokens, source, trial, actor, at }) => {
      if (trial) return tryImport(database, accountId, tokens)
      return change(database, async (transaction) => {
        // Two imports of one file then never wait for each other's rows in opposite orders.
        if (transaction.dialect === 'postgres') {
          await sql`select pg_advisory_xact_lock(${importLock})`.execute(transaction.db)
        }
        const judged = await judge(transaction, accountId, tokens)
        const fresh = judged.flatMap(({ token, grants }) =>
          grants === undefined ? [] : [{ ...token, grants }],
        )
        const ids = await insertTokens(transaction, fresh, {
          accountId,
          createdBy: actor.name,
          at,
        })
        if (fresh.length > 0) {
          const lines = fresh.map(({ line }) => line)
          await recordAudit(transaction, {
            at,
            actor,
            accountId,
            action: 'tokens.imported',
            subject: { type: 'account', id: accountId },
            after: {
              source,
              lines: [Math.min(...lines), Math.max(...lines)],
              tokens: ranges([...ids.values()]),
            },
          })
        }
        // Nodes are told at the end of the whole import.
        return { value: judged.map((one) => withId(one, ids)), epoch: null }
      })
    },

    async announceImport({ at }) {
      await analyze(database)
      return database.write((transaction) => takeEpoch(transaction, [revocationKey.negatives], at))
    },
  }
}

/**
 * PostgreSQL plans by what it knows of the tables, and after so many new rows that is wrong. It finds out by itself within
 * a minute or so, and then too when it cannot now.
 */
async function analyze({ dialect, reader }: Database) {
  if (dialect === 'postgres') await sql`analyze tokens, grants`.execute(reader).catch(() => {})
}

/** Notes that these are tokens no longer, in the transaction that removes them. */
export async function noteEnded({ db }: WriteTransaction, digests: readonly Digest[], at: number) {
  await db
    .insertInto('ended_digests')
    .values(digests.map((digest) => ({ digest, at })))
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}

async function tryImport(
  { reader, dialect }: Database,
  accountId: number,
  tokens: readonly TokenToImport[],
) {
  return change({ write: (work) => work({ db: reader, dialect }) }, async (reading) => {
    const judged = await judge(reading, accountId, tokens, { locking: false })
    return { value: judged.map(({ outcome }) => outcome), epoch: null }
  })
}

interface Judged {
  readonly token: TokenToImport
  readonly outcome: ImportOutcome
  /** Of one that is to be inserted. */
  readonly grants?: readonly ResolvedGrant[]
}

/** Null is the whole account. */
interface ResolvedGrant {
  readonly domainId: number | null
  readonly level: NamedGrant['level']
}

/** What becomes of each. Of several with one digest the first counts, and the others are compared with it. */
async function judge(
  { db, dialect }: WriteTransaction,
  accountId: number,
  tokens: readonly TokenToImport[],
  { locking = true }: { readonly locking?: boolean } = {},
): Promise<readonly Judged[]> {
  await requireAccount({ db }, accountId)
  const domainIds = await findDomains({ db, dialect }, accountId, tokens, locking)
  const digests = [...new Set(tokens.map(({ digest }) => digest))]
  const there = await findTokens({ db, dialect }, digests)
  // After the tokens: one that was deleted in between is found here.
  const ended = await findEnded({ db, dialect }, digests)
  const first = new Map<Digest, Required<Pick<Judged, 'token' | 'grants'>>>()

  function judgeOne(token: TokenToImport): Judged {
    const { grants, missing } = resolveGrants(token.grants, domainIds)
    const known = there.get(token.digest)
    if (known !== undefined) {
      if (known.accountId !== accountId) return { token, outcome: { status: 'of-another-account' } }
      const same = missing === undefined && isSame(known, { ...token, grants })
      return { token, outcome: { status: sameOrNot(same), tokenId: known.id } }
    }
    if (ended.has(token.digest)) return { token, outcome: { status: 'ended' } }
    const earlier = first.get(token.digest)
    if (earlier !== undefined) {
      const same =
        missing === undefined && isSame({ ...earlier.token, ...earlier }, { ...token, grants })
      return { token, outcome: { status: sameOrNot(same), tokenId: undefined } }
    }
    if (missing !== undefined) {
      return { token, outcome: { status: 'no-such-domain', domain: missing } }
    }
    first.set(token.digest, { token, grants })
    return { token, outcome: { status: 'imported', tokenId: undefined }, grants }
  }
  return tokens.map(judgeOne)
}

const sameOrNot = (same: boolean) => (same ? 'already-there' : 'different')

interface Access {
  readonly expiresAt: number | null
  readonly grants: readonly ResolvedGrant[]
}

function isSame(a: Access, b: Access): boolean {
  const keys = ({ grants }: Access) =>
    grants.map(({ domainId, level }) => `${domainId}:${level}`).sort()
  return a.expiresAt === b.expiresAt && keys(a).join() === keys(b).join()
}

function resolveGrants(
  grants: readonly NamedGrant[],
  domainIds: ReadonlyMap<string, number>,
): { grants: readonly ResolvedGrant[]; missing?: string } {
  const resolved: ResolvedGrant[] = []
  for (const { domain, level } of grants) {
    const domainId = domain === null ? null : domainIds.get(domain)
    if (domain !== null && domainId === undefined) return { grants: resolved, missing: domain }
    resolved.push({ domainId: domainId ?? null, level })
  }
  return { grants: resolved }
}

/** The account's own domains that these name; they stay until the transaction is over. */
async function findDomains(
  { db, dialect }: WriteTransaction,
  accountId: number,
  tokens: readonly TokenToImport[],
  locking: boolean,
): Promise<ReadonlyMap<string, number>> {
  const names = new Set(
    tokens.flatMap(({ grants }) => grants.flatMap(({ domain }) => domain ?? [])),
  )
  const query = db
    .selectFrom('domains')
    .select(['id', 'name'])
    .where('account_id', '=', accountId)
    .where(isAmong(dialect, 'name', [...names]))
    .orderBy('id')
  const rows = await (locking && dialect === 'postgres' ? query.forKeyShare() : query).execute()
  return new Map(rows.map(({ id, name }) => [name, id]))
}

async function findTokens({ db, dialect }: WriteTransaction, digests: readonly Digest[]) {
  const rows = await db
    .selectFrom('tokens')
    .leftJoin('grants', 'grants.token_id', 'tokens.id')
    .select(['tokens.id', 'tokens.account_id', 'tokens.digest'])
    .select(['tokens.expires_at', 'tokens.window_ends_at'])
    .select(['grants.domain_id', 'grants.level'])
    .where(isAmong(dialect, 'tokens.digest', digests))
    .execute()
  const found = new Map<Digest, Access & { readonly id: number; readonly accountId: number }>()
  for (const [digest, ofToken] of Map.groupBy(rows, (row) => row.digest)) {
    const [row] = ofToken
    if (row === undefined) continue
    const { id, account_id: accountId, expires_at, window_ends_at } = row
    const ends = [expires_at, window_ends_at].filter((at) => at !== null)
    const expiresAt = ends.length === 0 ? null : Math.min(...ends)
    const grants = ofToken.flatMap(({ domain_id: domainId, level }) =>
      level === null ? [] : [{ domainId, level }],
    )
    found.set(digest, { id, accountId, expiresAt, grants })
  }
  return found
}

async function findEnded({ db, dialect }: WriteTransaction, digests: readonly Digest[]) {
  const rows = await db
    .selectFrom('ended_digests')
    .select('digest')
    .where(isAmong(dialect, 'digest', digests))
    .execute()
  return new Set(rows.map(({ digest }) => digest))
}

/** Answers the ids by digest. */
async function insertTokens(
  { db, dialect }: WriteTransaction,
  tokens: readonly (Omit<TokenToImport, 'grants'> & Pick<Access, 'grants'>)[],
  { accountId, createdBy, at }: { accountId: number; createdBy: string; at: number },
): Promise<ReadonlyMap<Digest, number>> {
  const rows = tokens.map(({ name, digest, lastFour, sealed, expiresAt, createdAt }) => ({
    name,
    digest,
    last_four: lastFour,
    sealed,
    created_at: createdAt ?? at,
    expires_at: expiresAt,
    search_text: searchText(name, lastFour),
  }))
  const columns = sql.raw('name, digest, last_four, sealed, created_at, expires_at, search_text')
  const inserted = await sql<{ id: number; digest: Digest }>`
    insert into tokens (account_id, created_by, ${columns})
    select cast(${accountId} as bigint), cast(${createdBy} as text), ${columns}
    from ${recordset(dialect, rows, {
      name: 'text',
      digest: 'text',
      last_four: 'text',
      sealed: 'text',
      created_at: 'bigint',
      expires_at: 'bigint',
      search_text: 'text',
    })}
    returning id, digest`.execute(db)
  const ids = new Map(inserted.rows.map(({ id, digest }) => [digest, id]))
  const grants = tokens.flatMap(({ digest, grants }) =>
    grants.map(({ domainId, level }) => ({
      token_id: ids.get(digest) ?? null,
      domain_id: domainId,
      level,
    })),
  )
  await sql`
    insert into grants (token_id, domain_id, level)
    select token_id, domain_id, level
    from ${recordset(dialect, grants, { token_id: 'bigint', domain_id: 'bigint', level: 'text' })}`.execute(
    db,
  )
  return ids
}

/** Those that were inserted just now have their ids only now. */
function withId({ token, outcome }: Judged, ids: ReadonlyMap<Digest, number>): ImportOutcome {
  return 'tokenId' in outcome
    ? { ...outcome, tokenId: outcome.tokenId ?? ids.get(token.digest) }
    : outcome
}

/** `[1, 2, 3, 7]` as `[[1, 3], [7, 7]]`. */
function ranges(ids: readonly number[]): readonly (readonly [number, number])[] {
  const found: [number, number][] = []
  for (const id of ids.toSorted((a, b) => a - b)) {
    const last = found.at(-1)
    if (last !== undefined && last[1] + 1 === id) last[1] = id
    else found.push([id, id])
  }
  return found
}
