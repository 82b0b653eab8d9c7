import type { Grant } from '../core/grants.ts'
import type { RateText } from '../core/rate.ts'
import { revocationKey } from '../core/revocation-key.ts'
import type { GrantRequest, Registry } from '../service/ports/registry.ts'
import { auditedToken, recordAudit } from './audit.ts'
import { change } from './change.ts'
import { domainsRestingOn, keepLastTokens, lockDomainsOf } from './last-token.ts'
import { holdTokenFor, requirePower } from './power.ts'
import { currentEpoch, takeEpoch } from './revocation-log.ts'
import type { Database, WriteTransaction } from './schema.ts'
import { checkGrants, holdToken, insertGrants, searchText } from './token-rows.ts'

type EditRequest = Parameters<Registry['editToken']>[0]

/** Changes of a token that lives on: its name, its permissions and its rate, together or not at all. */
export function createEditRegistry(
  database: Database,
): Pick<Registry, 'editToken' | 'replaceGrants'> {
  const editToken = (request: EditRequest) =>
    change(database, async (transaction) => {
      const { tokenId, name, rate, actor, at } = request
      const before = await holdTokenFor(transaction, tokenId, request)
      if (request.grants !== undefined) await setGrants(transaction, request, request.grants)
      if (name !== undefined) await setName(transaction, tokenId, name, before.record.lastFour)
      if (rate !== undefined) await setRate(transaction, tokenId, rate)
      const { record: after, digest } = await holdToken(transaction, tokenId)
      const rerated = before.record.rate !== after.rate
      const regranted = !sameGrants(before.record.grants, after.grants)
      const event = {
        at,
        actor,
        accountId: after.accountId,
        subject: { type: 'token', id: tokenId } as const,
        before: auditedToken(before.record),
        after: auditedToken(after),
      }
      if (before.record.name !== after.name) {
        await recordAudit(transaction, { ...event, action: 'token.renamed' })
      }
      if (rerated) await recordAudit(transaction, { ...event, action: 'token.rate_changed' })
      if (regranted) {
        await recordAudit(transaction, { ...event, action: 'token.permissions_changed' })
      }
      if (!regranted && !rerated) {
        // No node knows names. What is as it was is a repeated call, which waits like the first.
        const isName = request.grants === undefined && rate === undefined
        return { value: after, epoch: isName ? null : await currentEpoch(transaction) }
      }
      return {
        value: after,
        epoch: await takeEpoch(transaction, [revocationKey.token(digest)], at),
      }
    })

  return {
    editToken,
    replaceGrants: ({ grants, ...request }) => editToken({ ...request, grants: () => grants }),
  }
}

/** What comes of the permissions is decided on what they are while their domains are held. */
async function setGrants(
  transaction: WriteTransaction,
  request: EditRequest,
  next: (current: readonly Grant[]) => readonly GrantRequest[],
) {
  const { tokenId } = request
  const { record: unlocked } = await holdToken(transaction, tokenId)
  await lockDomainsOf(transaction, [...unlocked.grants, ...next(unlocked.grants)])
  const { record: before } = await holdToken(transaction, tokenId)
  const grants = next(before.grants)
  const { accountId } = before
  await checkGrants(transaction, accountId, grants)
  await requirePower(transaction, { accountId, grants }, request)
  await transaction.db.deleteFrom('grants').where('token_id', '=', tokenId).execute()
  await insertGrants(transaction.db, tokenId, grants)
  await keepLastTokens(transaction, domainsRestingOn(before))
}

async function setName({ db }: WriteTransaction, tokenId: number, name: string, lastFour: string) {
  await db
    .updateTable('tokens')
    .set({ name, search_text: searchText(name, lastFour) })
    .where('id', '=', tokenId)
    .execute()
}

async function setRate({ db }: WriteTransaction, tokenId: number, rate: RateText) {
  await db.updateTable('tokens').set({ rate }).where('id', '=', tokenId).execute()
}

function sameGrants(before: readonly unknown[], after: readonly unknown[]): boolean {
  return JSON.stringify(before) === JSON.stringify(after)
}
