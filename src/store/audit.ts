import type { Kysely } from 'kysely'
import type { Actor, AuditEvent, Registry, TokenRecord } from '../service/ports/registry.ts'
import type { Schema, WriteTransaction } from './schema.ts'

type AuditRequest = Parameters<Registry['listAuditEvents']>[0]

interface NewAuditEvent {
  readonly at: number
  readonly actor: Actor
  readonly accountId: number | null
  readonly action: string
  readonly subject: AuditEvent['subject']
  readonly before?: unknown
  readonly after?: unknown
}

/** Writes who did what, in the transaction that does it. */
export async function recordAudit({ db }: WriteTransaction, event: NewAuditEvent) {
  const { at, actor, accountId, action, subject, before, after } = event
  await db
    .insertInto('audit_events')
    .values({
      at,
      account_id: accountId,
      actor: actor.name,
      actor_token_id: actor.tokenId ?? null,
      origin: actor.origin,
      action,
      subject_type: subject.type,
      subject_id: subject.id,
      before: before === undefined ? null : JSON.stringify(before),
      after: after === undefined ? null : JSON.stringify(after),
    })
    .execute()
}

/** What the trail says of a token: never anything that opens it. */
export function auditedToken({
  name,
  grants,
  expiresAt,
  windowEndsAt,
  successorId,
  rate,
}: TokenRecord) {
  return { name, grants, expiresAt, windowEndsAt, successorId, rate }
}

export function createAuditTrail({ reader }: { readonly reader: Kysely<Schema> }) {
  return {
    async listAuditEvents({ accountId, before, limit }: AuditRequest) {
      let query = reader.selectFrom('audit_events').selectAll().orderBy('id', 'desc').limit(limit)
      if (accountId !== undefined) query = query.where('account_id', '=', accountId)
      if (before !== undefined) query = query.where('id', '<', before)
      const rows = await query.execute()
      return rows.map(
        (row): AuditEvent => ({
          id: row.id,
          at: row.at,
          accountId: row.account_id,
          actor: row.actor,
          actorTokenId: row.actor_token_id,
          origin: row.origin,
          action: row.action,
          subject: { type: row.subject_type, id: row.subject_id },
          before: row.before === null ? null : JSON.parse(row.before),
          after: row.after === null ? null : JSON.parse(row.after),
        }),
      )
    },
  }
}
