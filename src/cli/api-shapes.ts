import { z } from 'zod'
import { accessLevelNumber } from '../core/grants.ts'
import type { Explanation } from '../service/explain.ts'
import type { TokenRecord } from '../service/ports/registry.ts'
import type { AuditEntry } from './management.ts'

/** The answers of the management API, as far as commands read them, and what they are here. */

const instant = z.iso.datetime().transform((text) => Date.parse(text))

const resource = z
  .object({
    resource_type: z.enum(['account', 'domain']),
    resource_id: z.int(),
    access_level: z.union([
      z.literal(accessLevelNumber.admin).transform(() => 'admin' as const),
      z.literal(accessLevelNumber.viewer).transform(() => 'viewer' as const),
    ]),
  })
  .transform(({ resource_type: type, resource_id: id, access_level: level }) => ({
    resource: { type, id },
    level,
  }))

const recordFields = {
  domain: z.string(),
  type: z.literal('TXT'),
  value: z.string(),
  status: z.enum(['pass', 'missing', 'fail', 'network_error']),
}
const dnsRecord = z
  .object({ ...recordFields, status: z.enum(['unchecked', ...recordFields.status.options]) })
  .transform(({ domain: name, ...record }) => ({ name, ...record }))

const tokenFields = z.object({
  id: z.int(),
  account_id: z.int(),
  rate: z.string().nullable(),
  name: z.string(),
  last_4_digits: z.string(),
  created_by: z.string(),
  resources: z.array(resource),
  lifetime: z.object({
    created_at: instant,
    expires_at: instant.nullable(),
    reset_at: instant.nullable(),
    window_ends_at: instant.nullable(),
    successor_id: z.int().nullable(),
  }),
})

function tokenRecord({ lifetime, ...token }: z.output<typeof tokenFields>): TokenRecord {
  return {
    id: token.id,
    accountId: token.account_id,
    rate: token.rate,
    name: token.name,
    lastFour: token.last_4_digits,
    createdBy: token.created_by,
    createdAt: lifetime.created_at,
    grants: token.resources,
    expiresAt: lifetime.expires_at,
    windowEndsAt: lifetime.window_ends_at,
    resetAt: lifetime.reset_at,
    successorId: lifetime.successor_id,
  }
}

const issuedFields = z.object({ ...tokenFields.shape, token: z.string() })
const secret = z.object({ token: z.string() })

export const shapes = {
  accounts: z.array(z.object({ id: z.int(), name: z.string() })),

  domain: z
    .object({
      id: z.int(),
      domain_name: z.string(),
      dns_verified: z.boolean(),
      dns_verified_at: z.union([z.literal('').transform(() => null), instant]),
      dns_records: z.array(dnsRecord),
    })
    .transform(({ id, domain_name: name, dns_verified, dns_verified_at, dns_records }) => ({
      id,
      name,
      state: dns_verified ? ('verified' as const) : ('pending' as const),
      verifiedAt: dns_verified_at,
      dnsRecord: dns_records[0] ?? null,
    })),
  verification: z.object({
    verification: z
      .object({
        ...recordFields,
        found: z.array(z.string()),
        resolver: z.string().nullable(),
      })
      .transform(({ domain: name, type, value, ...look }) => ({
        record: { name, type, value },
        ...look,
        trouble: null,
      }))
      .nullable(),
  }),
  domainToken: z
    .object({ token: z.object({ id: z.int(), name: z.string(), token: z.string() }) })
    .transform(({ token: { token: bearerToken, ...token } }) => ({ ...token, bearerToken })),

  token: tokenFields.transform(tokenRecord),
  issued: issuedFields.transform(({ token, ...fields }) => ({
    record: tokenRecord(fields),
    bearerToken: token,
  })),
  replaced: z
    .object({ replaces: tokenFields.nullable() })
    .transform(({ replaces }) => (replaces === null ? undefined : tokenRecord(replaces))),
  secret: secret.transform(({ token }) => token),

  auditEvent: z
    .object({
      id: z.int(),
      at: instant,
      actor: z.object({ name: z.string(), token_id: z.int().nullable(), origin: z.string() }),
      action: z.string(),
      subject: z.object({
        type: z.enum(['account', 'domain', 'token', 'key', 'fleet']),
        id: z.int(),
      }),
      before: z.record(z.string(), z.unknown()).nullable(),
      after: z.record(z.string(), z.unknown()).nullable(),
    })
    .transform(
      ({ actor, ...event }): AuditEntry => ({
        ...event,
        actor: actor.name,
        actorTokenId: actor.token_id,
        origin: actor.origin,
      }),
    ),

  explanation: z
    .object({
      allowed: z.boolean(),
      reason: z.string().nullable(),
      rule: z.string(),
      domain: z.string().nullable(),
      token_id: z.int().nullable(),
      account_id: z.int().nullable(),
    })
    .transform(
      ({
        allowed,
        reason,
        rule,
        domain,
        token_id: tokenId,
        account_id: accountId,
      }): Explanation => ({
        allowed,
        reason: reason as Explanation['reason'],
        domain,
        tokenId,
        accountId,
        rule,
      }),
    ),

  pending: z.object({ waiting_for: z.array(z.string()) }),
}
