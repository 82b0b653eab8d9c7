import { z } from '@hono/zod-openapi'
import { accessLevelNumber, type Grant } from '../core/grants.ts'
import { endsAt } from '../core/standing.ts'
import type { IssuedToken } from '../service/issue.ts'
import type { TokenRecord } from '../service/ports/registry.ts'
import type { ResetTokens } from '../service/reset.ts'
import type { Generation } from './generation.ts'
import { accessLevel, id } from './schemas.ts'

/** Beyond the vendor, and only where it is asked for: existing clients may choke on keys that they do not know. */
export const viewQuery = { view: z.enum(['full']).optional() }
export type View = z.output<(typeof viewQuery)['view']>

const moment = z.iso.datetime().nullable()
const lifetime = z
  .strictObject({
    created_at: z.iso.datetime(),
    expires_at: moment.openapi({ description: 'Its own expiry, whatever its reset window.' }),
    reset_at: moment,
    window_ends_at: moment,
    successor_id: id.nullable(),
  })
  .openapi('TokenLifetime')

/** A token as the vendor's clients know it: every key always present, and its secret only where it is shown. */
export function tokenShape({ domainWord, schemaPrefix }: Generation) {
  const resource = z
    .strictObject({
      resource_type: z.enum(['account', domainWord]),
      resource_id: id,
      access_level: accessLevel,
    })
    .openapi(`${schemaPrefix}Resource`)
  const fields = {
    resources: z.array(resource),
    id,
    name: z.string(),
    last_4_digits: z.string(),
    created_by: z.string(),
    expires_at: z.iso.datetime().nullable().openapi({
      description: 'The earlier of its expiry and the end of its reset window.',
    }),
    account_id: id.optional().openapi({ description: 'With `view=full`.' }),
    lifetime: lifetime.optional().openapi({ description: 'With `view=full`.' }),
    rate: z.string().nullable().optional().openapi({
      description:
        'With `view=full`: how often it may send, such as 300/10s or off; null is the usual.',
    }),
  }
  const token = z.strictObject(fields).openapi(`${schemaPrefix}ApiToken`)
  const tokenWithSecret = z
    .strictObject({ ...fields, token: z.string() })
    .openapi(`${schemaPrefix}ApiTokenWithToken`)
  const successor = z
    .strictObject({
      ...fields,
      token: z.string(),
      replaces: token.nullable().optional().openapi({
        description: 'With `view=full`: the old token, null when it is gone.',
      }),
    })
    .openapi(`${schemaPrefix}ApiTokenSuccessor`)

  function resources(grants: readonly Grant[]): z.input<typeof resource>[] {
    return grants.map(({ resource: { type, id: resource_id }, level }) => ({
      resource_type: type === 'account' ? 'account' : domainWord,
      resource_id,
      access_level: accessLevelNumber[level],
    }))
  }

  function tokenJson(record: TokenRecord, view?: View): z.input<typeof token> {
    return {
      resources: resources(record.grants),
      id: record.id,
      name: record.name,
      last_4_digits: record.lastFour,
      created_by: record.createdBy,
      expires_at: isoOrNull(endsAt(record)),
      ...(view === 'full' && {
        account_id: record.accountId,
        lifetime: lifetimeJson(record),
        rate: record.rate,
      }),
    }
  }

  function issuedJson(
    { record, bearerToken }: IssuedToken,
    view?: View,
  ): z.input<typeof tokenWithSecret> {
    return { ...tokenJson(record, view), token: bearerToken }
  }

  function resetJson(
    { old, successor: made }: ResetTokens,
    view?: View,
  ): z.input<typeof successor> {
    const replaces = old === undefined ? null : tokenJson(old, view)
    return { ...issuedJson(made, view), ...(view === 'full' && { replaces }) }
  }

  return {
    schema: { resource, token, tokenWithSecret, successor },
    resources,
    tokenJson,
    issuedJson,
    resetJson,
  }
}

function lifetimeJson(record: TokenRecord): z.input<typeof lifetime> {
  return {
    created_at: new Date(record.createdAt).toISOString(),
    expires_at: isoOrNull(record.expiresAt),
    reset_at: isoOrNull(record.resetAt),
    window_ends_at: isoOrNull(record.windowEndsAt),
    successor_id: record.successorId,
  }
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}

export type TokenShape = ReturnType<typeof tokenShape>
