import { z } from '@hono/zod-openapi'
import { challengeLabel, challengeRecord } from '../core/challenge.ts'
import { normaliseDomain } from '../core/domain.ts'
import type {
  AddedDomain,
  CheckedDomainView,
  DomainView,
  ManagedDomains,
} from '../service/managed-domains.ts'
import type { AccountDomain } from '../service/ports/registry.ts'
import type { DomainCheck } from '../service/verify-domain.ts'
import { answerChange } from './change-answer.ts'
import { invalid, invalidAsAWhole, notFound, unavailable } from './errors.ts'
import type { Generation } from './generation.ts'
import type { DefineOperation } from './operation.ts'
import { id } from './schemas.ts'
import { type View, viewQuery } from './token-json.ts'

interface DomainsDeps {
  readonly operation: DefineOperation
  readonly generation: Generation
  readonly domains: ManagedDomains
}

/** What the vendor can do to a message or for a domain, and a gate does not: always so, and not to be changed. */
const constants = {
  open_tracking_enabled: false,
  click_tracking_enabled: false,
  tracking_opt_out_enabled: false,
  auto_unsubscribe_link_enabled: false,
  custom_domain_tracking_enabled: false,
  health_alerts_enabled: false,
  critical_alerts_enabled: false,
  alert_recipient_email: null,
  inbound_enabled: false,
  inbound_verified: false,
  demo: false,
} as const

const switches = [
  'open_tracking_enabled',
  'click_tracking_enabled',
  'tracking_opt_out_enabled',
  'auto_unsubscribe_link_enabled',
  'inbound_enabled',
] as const

const never = z.literal(false)

/** The record that proves the domain, in the words of the vendor's. */
const dnsRecord = z
  .strictObject({
    key: z.literal('verification'),
    domain: z.string().openapi({ description: 'Where it has to be.' }),
    type: z.literal('TXT'),
    value: z
      .string()
      .openapi({ description: 'Has to be met exactly, by one record among others.' }),
    status: z.enum(['unchecked', 'pass', 'missing', 'fail', 'network_error']).openapi({
      description:
        'What the last look found: no such record, others in its place, or that the DNS could not be asked.',
    }),
    name: z.string().openapi({ description: 'The same, below the domain.' }),
  })
  .openapi('DnsRecord')

const domain = z
  .strictObject({
    domain_name: z.string(),
    open_tracking_enabled: never,
    click_tracking_enabled: never,
    tracking_opt_out_enabled: never,
    auto_unsubscribe_link_enabled: never,
    custom_domain_tracking_enabled: never,
    health_alerts_enabled: never,
    critical_alerts_enabled: never,
    alert_recipient_email: z.null(),
    inbound_enabled: never,
    inbound_verified: never,
    demo: never,
    id,
    dns_records: z
      .array(dnsRecord)
      .openapi({ description: 'Empty for a domain that needs no proof.' }),
    dns_verified: z.boolean(),
    dns_verified_at: z.string().openapi({ description: 'Empty when it is not known.' }),
    permissions: z.strictObject({
      can_read: z.boolean(),
      can_update: z.boolean(),
      can_destroy: z.boolean(),
    }),
    compliance_status: z.enum(['compliant', 'unverified_dns']),
  })
  .openapi('Domain')

const checkedDomain = z
  .strictObject({
    ...domain.shape,
    verification: z
      .strictObject({
        domain: z.string(),
        type: z.literal('TXT'),
        value: z.string(),
        status: z.enum(['pass', 'missing', 'fail']),
        found: z.array(z.string()).openapi({
          description: 'The records in its place; unprintable characters shown as "?".',
        }),
        resolver: z.string().nullable().openapi({ description: 'Who answered.' }),
      })
      .nullable()
      .openapi({ description: 'What was just looked for; null when it was verified before.' }),
  })
  .openapi('CheckedDomain')

const addedDomain = z
  .strictObject({
    ...domain.shape,
    token: z.strictObject({ id, name: z.string(), token: z.string() }).optional().openapi({
      description: 'With `view=full`: its own token, with the secret.',
    }),
  })
  .openapi('AddedDomain')

function domainJson({ domain: record, administered }: DomainView): z.input<typeof domain> {
  const verified = record.state === 'verified'
  return {
    domain_name: record.name,
    ...constants,
    id: record.id,
    dns_records: dnsRecords(record),
    dns_verified: verified,
    dns_verified_at: record.verifiedAt === null ? '' : new Date(record.verifiedAt).toISOString(),
    permissions: { can_read: true, can_update: administered, can_destroy: administered },
    compliance_status: verified ? 'compliant' : 'unverified_dns',
  }
}

function dnsRecords({ name, proof }: AccountDomain): z.input<typeof dnsRecord>[] {
  if (proof === null) return []
  const { name: domain, type, value } = challengeRecord(name, proof.challenge)
  const { status } = proof
  return [{ key: 'verification', domain, type, value, status, name: challengeLabel }]
}

function checkedDomainJson({ check, ...view }: CheckedDomainView) {
  return { ...domainJson(view), verification: check && checkJson(check) }
}

function checkJson({ record: { name, type, value }, status, found, resolver }: DomainCheck) {
  return { domain: name, type, value, status, found, resolver }
}

function troubleSentence({ record, trouble }: DomainCheck): string {
  return `The DNS does not answer for ${record.name} (${trouble}): try again`
}

function addedDomainJson(added: AddedDomain, view: View): z.input<typeof addedDomain> {
  if (view !== 'full') return domainJson(added)
  const { record, bearerToken } = added.token
  const token = { id: record.id, name: record.name, token: bearerToken }
  return { ...domainJson(added), token }
}

/** Takes either generation's word for what a body is about. */
function wrapped<S extends z.ZodType>(inner: S) {
  return z
    .object({ domain: inner.optional(), sending_domain: inner.optional() })
    .transform(({ domain: one, sending_domain }) => one ?? sending_domain)
}

const createBody = wrapped(z.object({ domain_name: z.string().max(1024).default('') }))
const updateBody = wrapped(
  z.object(
    Object.fromEntries(switches.map((name) => [name, z.boolean().optional()])) as Record<
      (typeof switches)[number],
      z.ZodOptional<z.ZodBoolean>
    >,
  ),
)

/** Domains as the vendor's clients know them. */
export function addDomains({ operation, generation, domains }: DomainsDeps) {
  const path = `${generation.prefix}${generation.domainsPath}`
  const one = `${path}/{id}`
  const tag = 'Domains'
  const answer = { status: 200, description: 'The domain', schema: domain } as const

  operation(
    {
      method: 'get',
      path,
      tag,
      summary: 'List domains',
      answer: {
        status: 200,
        description: 'Those that the calling token has a permission on',
        schema: z.strictObject({ data: z.array(domain) }).openapi('Domains'),
      },
    },
    async function list(c) {
      const found = await domains.list(c.var.caller)
      return c.json({ data: found.map(domainJson) })
    },
  )

  operation(
    {
      method: 'post',
      path,
      tag,
      summary: 'Add a domain',
      description:
        'A token with admin permission on it comes with it, and is found in the list of tokens. For admins of the account, if the gate lets accounts add domains.',
      isChange: true,
      query: z.object(viewQuery),
      body: createBody,
      answer: { ...answer, schema: addedDomain },
    },
    async function create(c, { query: { view }, body }) {
      const written = body?.domain_name ?? ''
      if (written === '') {
        return invalidAsAWhole(c, "Validation failed: Domain name can't be blank")
      }
      const name = normaliseDomain(written)
      if (name === undefined) {
        return invalidAsAWhole(c, 'Validation failed: Domain name is not a valid domain name')
      }
      const added = await domains.create(c.var.caller, name)
      return answerChange(c, added, (one) => addedDomainJson(one, view))
    },
  )

  operation(
    { method: 'get', path: one, tag, summary: 'Get a domain', answer },
    async function get(c, { id: domainId }) {
      const found = await domains.get(c.var.caller, domainId)
      return found === undefined ? notFound(c) : c.json(domainJson(found))
    },
  )

  operation(
    {
      method: 'patch',
      path: one,
      tag,
      summary: 'Change settings of a domain',
      description:
        'The gate does not change messages: each of these can only be switched off, as it is already.',
      body: updateBody,
      answer,
    },
    async function update(c, { id: domainId, body }) {
      const found = await domains.get(c.var.caller, domainId)
      if (found === undefined) return notFound(c)
      const wanted = switches.filter((name) => body?.[name] === true)
      if (wanted.length === 0) return c.json(domainJson(found))
      return invalid(c, Object.fromEntries(wanted.map((name) => [name, ["can't be switched on"]])))
    },
  )

  operation(
    {
      method: 'post',
      path: `${one}/verify`,
      tag,
      summary: 'Verify a domain',
      description:
        'Looks in the DNS for the record that proves it, now. The gate also does so by itself, for 14 days ever more rarely. 503 when the DNS does not answer.',
      isChange: true,
      answer: {
        status: 200,
        description: 'The domain, verified or not, and what was found',
        schema: checkedDomain,
      },
    },
    async function verify(c, { id: domainId }) {
      const outcome = await domains.verify(c.var.caller, domainId)
      const check = 'done' in outcome && outcome.done ? outcome.value.check : null
      if (check?.status === 'network_error') return unavailable(c, troubleSentence(check))
      return answerChange(c, outcome, checkedDomainJson)
    },
  )

  operation(
    {
      method: 'delete',
      path: one,
      tag,
      summary: 'Remove a domain',
      description: 'With every permission on it.',
      isChange: true,
      answer: { status: 204, description: 'No node lets anything through for it any more' },
    },
    async function remove(c, { id: domainId }) {
      const outcome = await domains.remove(c.var.caller, domainId)
      const response = answerChange(c, outcome, () => null)
      const isAbsent = 'done' in outcome && outcome.done && !outcome.value.removed
      return isAbsent && response.status === 204 ? notFound(c) : response
    },
  )
}
