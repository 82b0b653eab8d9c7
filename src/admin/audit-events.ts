import { z } from '@hono/zod-openapi'
import { auditedState } from '../core/audited-state.ts'
import type { ManagedAccount } from '../service/managed-account.ts'
import type { AuditEvent } from '../service/ports/registry.ts'
import { forbidden } from './errors.ts'
import type { Generation } from './generation.ts'
import type { DefineOperation } from './operation.ts'
import { backwardsPageQuery, cutPage, linkNext } from './paging.ts'
import { id } from './schemas.ts'
import type { TokenShape } from './token-json.ts'

interface AuditEventsDeps {
  readonly operation: DefineOperation
  readonly generation: Generation
  readonly shape: TokenShape
  readonly account: ManagedAccount
}

/** Who did what to which token or domain, from where, and when. */
export function addAuditEvents({ operation, generation, shape, account }: AuditEventsDeps) {
  const state = z.record(z.string(), z.unknown()).nullable()
  const event = z
    .strictObject({
      id,
      at: z.iso.datetime(),
      actor: z.strictObject({ name: z.string(), token_id: id.nullable(), origin: z.string() }),
      action: z.string().openapi({ example: 'token.permissions_changed' }),
      subject: z.strictObject({
        type: z.enum(['account', 'domain', 'token', 'key', 'fleet']),
        id: z.int(),
      }),
      before: state,
      after: state,
    })
    .openapi(`${generation.schemaPrefix}AuditEvent`)

  function eventJson({ actor, actorTokenId, origin, ...rest }: AuditEvent): z.input<typeof event> {
    return {
      id: rest.id,
      at: new Date(rest.at).toISOString(),
      actor: { name: actor, token_id: actorTokenId, origin },
      action: rest.action,
      subject: rest.subject,
      before: auditedState(rest.before, shape.resources),
      after: auditedState(rest.after, shape.resources),
    }
  }

  operation(
    {
      method: 'get',
      path: `${generation.prefix}/audit_events`,
      tag: 'Account',
      summary: 'List audit events',
      description: 'Newest first, a page at a time. For admins of the account. Beyond the vendor.',
      query: z.object(backwardsPageQuery),
      answer: { status: 200, description: 'Events', schema: z.array(event) },
    },
    async function list(c, { query: { limit, before } }) {
      const read = await account.auditEvents(c.var.caller, { before, limit: limit + 1 })
      if (read === undefined) return forbidden(c)
      const { page, next } = cutPage(read, limit)
      if (next !== undefined) linkNext(c, { limit, before: next.id })
      return c.json(page.map(eventJson))
    },
  )
}
