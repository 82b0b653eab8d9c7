import { z } from '@hono/zod-openapi'
import { accessLevelNumber, type Grant } from '../core/grants.ts'
import { endsAt } from '../core/standing.ts'
import type { IssuedToken } from '../service/issue.ts'
import type { TokenRecord } from '../service/ports.ts'
import type { Generation } from './generation.ts'
import { accessLevel, id } from './schemas.ts'

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
  }
  const token = z.strictObject(fields).openapi(`${schemaPrefix}ApiToken`)
  const tokenWithSecret = z
    .strictObject({ ...fields, token: z.string() })
    .openapi(`${schemaPrefix}ApiTokenWithToken`)

  function resources(grants: readonly Grant[]): z.input<typeof resource>[] {
    return grants.map(({ resource: { type, id: resource_id }, level }) => ({
      resource_type: type === 'account' ? 'account' : domainWord,
      resource_id,
      access_level: accessLevelNumber[level],
    }))
  }

  function tokenJson(record: TokenRecord): z.input<typeof token> {
    const end = endsAt(record)
    return {
      resources: resources(record.grants),
      id: record.id,
      name: record.name,
      last_4_digits: record.lastFour,
      created_by: record.createdBy,
      expires_at: end === null ? null : new Date(end).toISOString(),
    }
  }

  return {
    schema: { resource, token, tokenWithSecret },
    resources,
    tokenJson,
    issuedJson: ({ record, bearerToken }: IssuedToken): z.input<typeof tokenWithSecret> => ({
      ...tokenJson(record),
      token: bearerToken,
    }),
  }
}

export type TokenShape = ReturnType<typeof tokenShape>
