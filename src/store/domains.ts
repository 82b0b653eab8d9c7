import type { Kysely, Selectable } from 'kysely'
import { ofAccount, ofDomain } from '../core/authority.ts'
import { maxClaims } from '../core/challenge.ts'
import { revocationKey } from '../core/revocation-key.ts'
import { domainTokenName } from '../core/token-name.ts'
import type { AccountDomain, NewDomain, Registry } from '../service/ports/registry.ts'
import { auditedToken, recordAudit } from './audit.ts'
import { change, RefusedChange } from './change.ts'
import { holdCaller, requirePower } from './power.ts'
import { takeEpoch } from './revocation-log.ts'
import type { Database, Schema, WriteTransaction } from './schema.ts'
import { insertToken } from './token-rows.ts'

type DomainRegistry = Pick<
  Registry,
  | 'createAccount'
  | 'getAccount'
  | 'listAccounts'
  | 'addDomain'
  | 'getDomain'
  | 'listDomains'
  | 'removeDomain'
>

/** Who made a token that nobody asked for; the audit trail says who added its domain. */
const automatic = 'System'

/** Accounts and their domains. */
export function createDomainRegistry(database: Database): DomainRegistry {
  return {
    createAccount: ({ name, actor, at }) =>
      change(database, async (transaction) => {
        const { id } = await transaction.db
          .insertInto('accounts')
          .values({ name, created_at: at })
          .returning('id')
          .executeTakeFirstOrThrow()
        const subject = { type: 'account', id } as const
        const event = { at, actor, accountId: id, action: 'account.created', subject }
        await recordAudit(transaction, { ...event, after: { name } })
        return { value: { id, name, createdAt: at }, epoch: null }
      }),

    async getAccount(accountId) {
      const row = await database.reader
        .selectFrom('accounts')
        .selectAll()
        .where('id', '=', accountId)
        .executeTakeFirst()
      return row && { id: row.id, name: row.name, createdAt: row.created_at }
    },

    async listAccounts() {
      const rows = await database.reader.selectFrom('accounts').selectAll().orderBy('id').execute()
      return rows.map(({ id, name, created_at }) => ({ id, name, createdAt: created_at }))
    },

    addDomain: ({ accountId, name, token: minted, actor, at, ...asked }) =>
      change(database, async (transaction) => {
        await holdCaller(transaction, { actor })
        await requirePower(transaction, ofAccount(accountId), { actor, at })
        const domain = await insertDomain(transaction, { accountId, name, at }, asked)
        const token = await insertToken(transaction, {
          accountId,
          name: (id) => domainTokenName(name, id),
          minted,
          createdBy: automatic,
          at,
          expiresAt: null,
          grants: [{ resource: { type: 'domain', id: domain.id }, level: 'admin' }],
        })
        const event = { at, actor, accountId }
        await recordAudit(transaction, {
          ...event,
          action: 'domain.added',
          subject: { type: 'domain', id: domain.id },
          after: { name, state: domain.state },
        })
        await recordAudit(transaction, {
          ...event,
          action: 'token.created',
          subject: { type: 'token', id: token.id },
          after: auditedToken(token),
        })
        // That nobody has this name may be cached somewhere.
        const epoch = await takeEpoch(transaction, [revocationKey.name(name)], at)
        return { value: { domain, token }, epoch }
      }),

    getDomain: (domainId) => readDomain(database.reader, domainId),

    async listDomains(accountId) {
      const query = database.reader.selectFrom('domains').selectAll().orderBy('name')
      const rows = await (accountId === undefined
        ? query
        : query.where('account_id', '=', accountId)
      ).execute()
      return rows.map(accountDomain)
    },

    removeDomain: ({ domainId, actor, at }) =>
      change(database, async (transaction) => {
        await holdCaller(transaction, { actor })
        const domain = await readDomain(transaction.db, domainId)
        if (domain === undefined) throw new RefusedChange({ reason: 'no-such-domain' })
        await requirePower(transaction, ofDomain(domain), { actor, at })
        // Grants on it go with it, by the foreign key; a token whose last grant that was can do nothing any more.
        const row = await transaction.db
          .deleteFrom('domains')
          .where('id', '=', domainId)
          .returning('id')
          .executeTakeFirst()
        // Another call removed it meanwhile.
        if (row === undefined) throw new RefusedChange({ reason: 'no-such-domain' })
        const { accountId, name, state } = domain
        const subject = { type: 'domain', id: domainId } as const
        const event = { at, actor, accountId, action: 'domain.removed', subject }
        await recordAudit(transaction, { ...event, before: { name, state } })
        const keys = [revocationKey.domain(domainId), revocationKey.name(name)]
        return { value: domain, epoch: await takeEpoch(transaction, keys, at) }
      }),
  }
}

/** The domain as it is now. */
export async function readDomain(
  db: Kysely<Schema>,
  id: number,
): Promise<AccountDomain | undefined> {
  const row = await db.selectFrom('domains').selectAll().where('id', '=', id).executeTakeFirst()
  return row && accountDomain(row)
}

async function insertDomain(
  { db }: WriteTransaction,
  { accountId, name, at }: { accountId: number; name: string; at: number },
  asked: NewDomain,
): Promise<AccountDomain> {
  await requireAccount({ db }, accountId)
  const isPending = asked.state === 'pending'
  // That another account proves it in this instant does no harm: this claim then never gets further.
  if (isPending) await checkClaim(db, accountId, name)
  const row = await db
    .insertInto('domains')
    .values({
      account_id: accountId,
      name,
      state: asked.state,
      created_at: at,
      verified_at: isPending ? null : at,
      challenge: isPending ? asked.challenge : null,
      check_status: 'unchecked',
      checked_at: null,
      checking_since: isPending ? at : null,
      next_check_at: isPending ? asked.checkAt : null,
    })
    // Another account's when both are verified, or the account's own.
    .onConflict((conflict) => conflict.doNothing())
    .returningAll()
    .executeTakeFirst()
  if (row === undefined) throw new RefusedChange({ reason: 'domain-taken', name })
  return accountDomain(row)
}

/** Two that claim at once may both have counted before: one more than the limit does no harm either. */
async function checkClaim(db: Kysely<Schema>, accountId: number, name: string) {
  const holder = await db
    .selectFrom('domains')
    .select('id')
    .where('name', '=', name)
    .where('state', '=', 'verified')
    .executeTakeFirst()
  if (holder !== undefined) throw new RefusedChange({ reason: 'domain-taken', name })
  const { claims } = await db
    .selectFrom('domains')
    .select(({ fn }) => fn.countAll<number>().as('claims'))
    .where('account_id', '=', accountId)
    .where('state', '=', 'pending')
    .executeTakeFirstOrThrow()
  if (claims >= maxClaims) throw new RefusedChange({ reason: 'too-many-claims' })
}

/** Refuses what is asked for an account that does not exist. */
export async function requireAccount({ db }: Pick<WriteTransaction, 'db'>, accountId: number) {
  const row = await db
    .selectFrom('accounts')
    .select('id')
    .where('id', '=', accountId)
    .executeTakeFirst()
  if (row === undefined) throw new RefusedChange({ reason: 'no-such-account' })
}

/** A domain as it lies in its table. */
export function accountDomain(row: Selectable<Schema['domains']>): AccountDomain {
  const { id, account_id, name, state, challenge, check_status, checked_at } = row
  return {
    id,
    accountId: account_id,
    name,
    state,
    proof:
      challenge === null
        ? null
        : {
            challenge,
            status: check_status,
            checkedAt: checked_at,
            since: row.checking_since ?? row.created_at,
          },
    verifiedAt: row.verified_at,
  }
}
