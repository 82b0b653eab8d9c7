import type { Kysely, Selectable } from 'kysely'
import { ofAccount, ofDomain } from '../core/authority.ts'
import type { DomainRecord } from '../core/grants.ts'
import { revocationKey } from '../core/revocation-key.ts'
import { domainTokenName } from '../core/token-name.ts'
import type { Registry } from '../service/ports.ts'
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

    addDomain: ({ accountId, name, state, token: minted, actor, at }) =>
      change(database, async (transaction) => {
        await holdCaller(transaction, { actor })
        await requirePower(transaction, ofAccount(accountId), { actor, at })
        const domain = await insertDomain(transaction, { accountId, name, state, at })
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
          after: { name, state },
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
      return rows.map(domainRecord)
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

async function readDomain(db: Kysely<Schema>, id: number): Promise<DomainRecord | undefined> {
  const row = await db.selectFrom('domains').selectAll().where('id', '=', id).executeTakeFirst()
  return row && domainRecord(row)
}

async function insertDomain(
  { db }: WriteTransaction,
  domain: { accountId: number; name: string; state: DomainRecord['state']; at: number },
): Promise<DomainRecord> {
  const { accountId, name, state, at } = domain
  await requireAccount({ db }, accountId)
  const row = await db
    .insertInto('domains')
    .values({ account_id: accountId, name, state, created_at: at })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returningAll()
    .executeTakeFirst()
  if (row === undefined) throw new RefusedChange({ reason: 'domain-taken', name })
  return domainRecord(row)
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

function domainRecord({
  id,
  account_id,
  name,
  state,
}: Selectable<Schema['domains']>): DomainRecord {
  return { id, accountId: account_id, name, state }
}
