import { ofDomain } from '../core/authority.ts'
import { revocationKey } from '../core/revocation-key.ts'
import type { Registry } from '../service/ports/registry.ts'
import { recordAudit } from './audit.ts'
import { change, RefusedChange } from './change.ts'
import { accountDomain, readDomain } from './domains.ts'
import { holdCaller, requirePower } from './power.ts'
import { currentEpoch, takeEpoch } from './revocation-log.ts'
import type { Database, WriteTransaction } from './schema.ts'

type DomainProofRegistry = Pick<Registry, 'verifyDomain' | 'noteDomainCheck' | 'claimDomainChecks'>

/** Domains on their way from claimed to verified. */
export function createDomainProofRegistry(database: Database): DomainProofRegistry {
  return {
    verifyDomain: ({ domainId, challenge, actor, at }) =>
      change(database, async (transaction) => {
        await holdCaller(transaction, { actor })
        const before = await readDomain(transaction.db, domainId)
        if (before === undefined) throw new RefusedChange({ reason: 'no-such-domain' })
        await requirePower(transaction, ofDomain(before), { actor, at })
        const { accountId, name } = before
        const isNew = await setVerified(transaction, { domainId, name, challenge, at })
        const after = await readDomain(transaction.db, domainId)
        // It is gone meanwhile, or its challenge is not the one that was met.
        if (after?.state !== 'verified') throw new RefusedChange({ reason: 'no-such-domain' })
        if (!isNew) {
          // A write: this commit too waits for the standby that the first may not have reached.
          await transaction.db
            .updateTable('domains')
            .set(({ ref }) => ({ verified_at: ref('verified_at') }))
            .where('id', '=', domainId)
            .execute()
          return { value: after, epoch: await currentEpoch(transaction) }
        }
        const subject = { type: 'domain', id: domainId } as const
        await recordAudit(transaction, {
          at,
          actor,
          accountId,
          action: 'domain.verified',
          subject,
          before: { name, state: 'pending' },
          after: { name, state: 'verified', by: challenge === undefined ? 'operator' : 'dns' },
        })
        const keys = [revocationKey.domain(domainId), revocationKey.name(name)]
        return { value: after, epoch: await takeEpoch(transaction, keys, at) }
      }),

    noteDomainCheck: (domainId, { status, checkedAt, since, nextCheckAt }) =>
      database.write(async ({ db }) => {
        const row = await db
          .updateTable('domains')
          .set({
            check_status: status,
            checked_at: checkedAt,
            checking_since: since,
            next_check_at: nextCheckAt,
          })
          .where('id', '=', domainId)
          .where('state', '=', 'pending')
          .returningAll()
          .executeTakeFirst()
        return row && accountDomain(row)
      }),

    claimDomainChecks: ({ at, until, limit }) =>
      database.write(async ({ db, dialect }) => {
        const due = db
          .selectFrom('domains')
          .select('id')
          .where('next_check_at', '<=', at)
          .orderBy('next_check_at')
          .limit(limit)
        // Two nodes may look at once: each takes the rows that the other does not hold.
        const rows = await (dialect === 'postgres' ? due.forUpdate().skipLocked() : due).execute()
        if (rows.length === 0) return []
        const ids = rows.map(({ id }) => id)
        const claimed = await db
          .updateTable('domains')
          .set({ next_check_at: until })
          .where('id', 'in', ids)
          .returningAll()
          .execute()
        return claimed.map(accountDomain)
      }),
  }
}

/** False when it was so already, or there is nothing to be made so. */
async function setVerified(
  { db }: WriteTransaction,
  claim: { domainId: number; name: string; challenge: string | undefined; at: number },
): Promise<boolean> {
  const { domainId, name, challenge, at } = claim
  const pending = db
    .updateTable('domains')
    .set({ state: 'verified', verified_at: at, next_check_at: null })
    .where('id', '=', domainId)
    .where('state', '=', 'pending')
  const asked =
    challenge === undefined
      ? pending
      : pending.set({ check_status: 'pass', checked_at: at }).where('challenge', '=', challenge)
  try {
    const { numUpdatedRows } = await asked.executeTakeFirstOrThrow()
    return numUpdatedRows > 0n
  } catch (error) {
    // The first to prove it has it: the index decides, whoever else is being verified or added in this instant.
    if (isUniqueViolation(error)) throw new RefusedChange({ reason: 'domain-taken', name })
    throw error
  }
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html, https://sqlite.org/rescode.html#constraint_unique */
const uniqueViolation = { postgres: '23505', sqlite: 2067 } as const

function isUniqueViolation(error: unknown): boolean {
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown }
  return code === uniqueViolation.postgres || errcode === uniqueViolation.sqlite
}
