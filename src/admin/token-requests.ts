import { z } from '@hono/zod-openapi'
import { durationPattern, parseDuration } from '../core/duration.ts'
import { maxGrants, type PermissionChange } from '../core/grants.ts'
import { nameProblem } from '../core/token-name.ts'
import type { GrantRequest } from '../service/ports/registry.ts'
import { accessLevelInput, idInput, instant } from './schemas.ts'

/** What clients send about tokens, in every spelling that existing ones use. */

/** The vendor's bound. */
const maxExpiryMs = 5 * 366 * 24 * 3_600_000

const resourceType = z
  .enum(['account', 'domain', 'sending_domain', 'mailsend_domain'])
  .transform((type) => (type === 'account' ? ('account' as const) : ('domain' as const)))

const resource = z
  .object({ resource_type: resourceType, resource_id: idInput, access_level: accessLevelInput })
  .transform(
    ({ resource_type, resource_id, access_level }): GrantRequest => ({
      resource: { type: resource_type, id: resource_id },
      level: access_level,
    }),
  )

const name = z.string().superRefine((text, { addIssue }) => {
  const problem = nameProblem(text)
  if (problem !== undefined) addIssue({ code: 'custom', message: problem.replace(/^name /, '') })
})

const expiresAt = instant
  .transform((text) => Date.parse(text))
  .nullable()
  .optional()
  .openapi({
    description:
      'Null is never. Left out, a new token never expires, and a successor as its predecessor.',
  })

const window = z
  .union([
    z.literal(0),
    z.string().regex(durationPattern, 'is not a duration such as 12h, 30m or 0'),
  ])
  .transform((value) => parseDuration(String(value)) ?? 0)
  .openapi({ description: 'A duration such as 12h, 30m or 7d; 0 is at once.', example: '12h' })

const resources = z.array(resource).max(maxGrants)

/** What is missing is said in the vendor's words, and not by the schema. */
export const createBody = z
  .object({
    name: name.optional(),
    resources: resources.default([]),
    expires_at: expiresAt,
  })
  .openapi({ required: ['name', 'resources'] })

export const resetBody = z.object({
  expires_at: expiresAt,
  window: window.optional(),
})

export const windowBody = z.object({ window })

export const editBody = z.object({
  name: name.optional(),
  resources: resources.optional(),
})

const permission = z
  .object({
    resource_type: resourceType,
    resource_id: idInput,
    access_level: accessLevelInput.optional(),
    _destroy: z.union([z.boolean(), z.enum(['true', 'false'])]).optional(),
  })
  .transform(({ resource_type, resource_id, access_level, _destroy }, { addIssue }) => {
    const takenAway = String(_destroy) === 'true'
    if (!takenAway && access_level === undefined) {
      addIssue({ code: 'custom', path: ['access_level'], message: "can't be blank" })
    }
    const change: PermissionChange = {
      resource: { type: resource_type, id: resource_id },
      level: takenAway ? null : (access_level ?? null),
    }
    return change
  })

export const bulkBody = z.object({ permissions: z.array(permission).max(maxGrants) })

/** In words, or undefined when a token may end then. */
export function expiryProblem(at: number | null | undefined, now: number): string | undefined {
  if (at === null || at === undefined) return undefined
  if (at <= now) return 'Expiration date must be in the future'
  if (at - now > maxExpiryMs) return 'Expiration date must be within 5 years'
  return undefined
}
