import { z } from '@hono/zod-openapi'
import { administersAccount, manages } from '../core/authority.ts'
import { endsAt } from '../core/standing.ts'
import type { Caller } from '../service/callers.ts'
import type { ManagedTokens } from '../service/managed-tokens.ts'
import type { TokenRecord } from '../service/ports/registry.ts'
import { answerChange } from './change-answer.ts'
import { forbidden, notFound } from './errors.ts'
import type { Generation } from './generation.ts'
import type { DefineOperation } from './operation.ts'
import { cutPage, linkNext, longestPage, pageQuery } from './paging.ts'
import { id, idInput } from './schemas.ts'
import type { TokenShape } from './token-json.ts'
import { bulkBody } from './token-requests.ts'

interface AccountAccessesDeps {
  readonly operation: DefineOperation
  readonly generation: Generation
  readonly shape: TokenShape
  readonly tokens: ManagedTokens
}

/** Who has access to an account. There are only tokens: the id of a token's access is the token's own. */
export function addAccountAccesses({ operation, generation, shape, tokens }: AccountAccessesDeps) {
  const path = `${generation.prefix}/account_accesses`
  const one = `${path}/{id}`
  const tag = 'Account accesses'
  const access = z
    .strictObject({
      id,
      specifier_type: z.literal('ApiToken'),
      resources: z.array(shape.schema.resource),
      specifier: z.strictObject({
        id,
        name: z.string(),
        author_name: z.string(),
        token: z.string().openapi({ description: 'Masked, but for its last four characters.' }),
        expires_at: z.iso.datetime().nullable(),
      }),
      permissions: z.strictObject({
        can_read: z.boolean(),
        can_update: z.boolean(),
        can_destroy: z.boolean(),
        can_leave: z.boolean(),
      }),
    })
    .openapi(`${generation.schemaPrefix}AccountAccess`)

  function accessJson(caller: Caller, token: TokenRecord): z.input<typeof access> {
    const managed = manages(caller, token)
    const end = endsAt(token)
    return {
      id: token.id,
      specifier_type: 'ApiToken',
      resources: shape.resources(token.grants),
      specifier: {
        id: token.id,
        name: token.name,
        author_name: token.createdBy,
        token: `****${token.lastFour}`,
        expires_at: end === null ? null : new Date(end).toISOString(),
      },
      permissions: {
        can_read: true,
        can_update: managed && token.id !== caller.tokenId,
        can_destroy: managed,
        can_leave: false,
      },
    }
  }

  const ids = z.array(idInput).max(100).optional()

  operation(
    {
      method: 'get',
      path,
      tag,
      summary: 'List accesses',
      description:
        'The vendor lists people and invitations here, of which there are none. With `specifier_type=ApiToken`, beyond the vendor, tokens are listed. For admins of the account.',
      query: z.object({
        ...pageQuery,
        specifier_type: z.enum(['User', 'Invite', 'ApiToken']).optional(),
        'domain_ids[]': ids,
        'domain_uuids[]': z.array(z.string()).max(100).optional(),
        'project_ids[]': ids,
        [generation.sandboxesFilter]: ids,
      }),
      answer: { status: 200, description: 'Accesses', schema: z.array(access) },
    },
    async function list(c, { query }) {
      const { caller } = c.var
      if (!administersAccount(caller)) return forbidden(c)
      const nothing = ['project_ids[]', 'domain_uuids[]', generation.sandboxesFilter] as const
      if (query.specifier_type !== 'ApiToken' || nothing.some((filter) => filter in query)) {
        return c.json([])
      }
      const { limit = longestPage, after = 0, 'domain_ids[]': onDomains } = query
      const read = await tokens.page(caller, { after, limit: limit + 1, onDomains })
      const { page, next } = cutPage(read, limit)
      if (next !== undefined) linkNext(c, { limit, after: next.id })
      return c.json(page.map((token) => accessJson(caller, token)))
    },
  )

  operation(
    {
      method: 'delete',
      path: one,
      tag,
      summary: 'Remove an access, and with it the token',
      isChange: true,
      answer: {
        status: 200,
        description: 'No node accepts the token any more',
        schema: z.strictObject({ id }).openapi('RemovedAccess'),
      },
    },
    async function remove(c, { id: accessId }) {
      const outcome = await tokens.remove(c.var.caller, accessId)
      const answer = answerChange(c, outcome, () => ({ id: accessId }))
      const isAbsent = 'done' in outcome && outcome.done && !outcome.value.deleted
      return isAbsent && answer.status === 200 ? notFound(c) : answer
    },
  )

  operation(
    {
      method: 'put',
      path: `${one}/permissions/bulk`,
      tag,
      summary: 'Give or take single permissions',
      description: 'A permission on a resource is made, changed, or with `_destroy` taken away.',
      isChange: true,
      body: bulkBody,
      answer: {
        status: 200,
        description: 'The new permissions hold on every node',
        schema: z.strictObject({ message: z.string() }).openapi('UpdatedPermissions'),
      },
    },
    async function changePermissions(c, { id: accessId, body: { permissions } }) {
      const outcome = await tokens.changePermissions(c.var.caller, accessId, permissions)
      return answerChange(c, outcome, () => ({ message: 'Permissions have been updated!' }))
    },
  )
}
