import type { Denial } from './denial.ts'
import { administersDomain, type DomainRecord, type Grant } from './grants.ts'
import type { Rate } from './rate.ts'
import { endsAt, type Standing, standing, type TokenTimes } from './standing.ts'

/** Our record behind a bearer token. */
export interface Credential extends TokenTimes {
  readonly tokenId: number
  readonly accountId: number
  readonly grants: readonly Grant[]
  /** How often it may call: of its own, null for as often as it likes, undefined for what is usual. */
  readonly rate?: Rate | null | undefined
}

/** Who the token was issued to, proven. Exists only inside an allowed decision. */
export interface Principal {
  readonly tokenId: number
  readonly accountId: number
  readonly standing: Exclude<Standing, 'expired'>
  /** When the token stops being accepted, or null. */
  readonly endsAt: number | null
  /** As of its credential. */
  readonly rate?: Rate | null | undefined
}

export type Decision = { readonly allowed: true; readonly principal: Principal } | Denial

/** A domain that a message claims to be from, and what is known of it. */
export interface SenderDomain {
  readonly name: string
  readonly record: DomainRecord | undefined
}

/**
 * The decision: may the holder of this credential send as these domains at this instant?
 *
 * With no domains it answers whether the token is alive at all (SMTP AUTH, routes checked as `authenticated`).
 * The first domain that fails decides; a batch asks once per item to name each.
 */
export function decide(
  credential: Credential | undefined,
  senders: readonly SenderDomain[],
  now: number,
): Decision {
  if (credential === undefined) return { allowed: false, reason: 'unknown-token' }
  const { tokenId, accountId, rate } = credential
  const current = standing(credential, now)
  if (current === 'expired') return { allowed: false, reason: 'expired-token', tokenId }

  for (const { name, record } of senders) {
    const refused = refuseDomain(credential, record)
    if (refused !== undefined) return { allowed: false, reason: refused, domain: name, tokenId }
  }
  return {
    allowed: true,
    principal: { tokenId, accountId, standing: current, endsAt: endsAt(credential), rate },
  }
}

function refuseDomain(credential: Credential, record: DomainRecord | undefined) {
  if (record === undefined) return 'unknown-domain'
  // Several accounts may claim what nobody has proven: whose claim this is does not matter.
  if (record.state !== 'verified') return 'unverified-domain'
  if (!administersDomain(credential, record)) return 'not-domain-admin'
  return undefined
}
