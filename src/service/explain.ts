import type { Clock } from '../clock.ts'
import { parseAddress } from '../core/address.ts'
import { type Decision, decide } from '../core/decide.ts'
import type { DenialReason } from '../core/denial.ts'
import { normaliseDomain } from '../core/domain.ts'
import { ownRate } from '../core/rate.ts'
import type { Authenticator } from './authenticate.ts'
import type { Lookup } from './ports/lookup.ts'
import type { Registry } from './ports/registry.ts'

/** The decision that a message would meet, and the rule that makes it. */
export interface Explanation {
  readonly allowed: boolean
  readonly reason: DenialReason | 'bad-address' | null
  /** The domain in A-labels, where the address has one. */
  readonly domain: string | null
  readonly tokenId: number | null
  readonly accountId: number | null
  /** One sentence for people. */
  readonly rule: string
}

/** A token by its id or by itself. */
export type AskedToken = { readonly tokenId: number } | { readonly bearerToken: string }

interface ExplainDeps {
  readonly authenticator: Authenticator
  readonly registry: Pick<Registry, 'getToken'> & Pick<Lookup, 'findDomain'>
  readonly clock: Pick<Clock, 'now'>
}

export type Explain = ReturnType<typeof createExplain>

export function createExplain({ authenticator, registry, clock }: ExplainDeps) {
  async function decideFor(asked: AskedToken, domain: string): Promise<Decision> {
    if ('tokenId' in asked) {
      const token = await registry.getToken(asked.tokenId)
      const { value: record } = await registry.findDomain(domain)
      const credential = token && { ...token, tokenId: token.id, rate: ownRate(token.rate) }
      return decide(credential, [{ name: domain, record }], clock.now())
    }
    const presented = authenticator.present(asked.bearerToken)
    if (presented === undefined) return { allowed: false, reason: 'malformed-token' }
    return authenticator.authorise(presented, [domain])
  }

  /** `from` is an address or a bare domain. */
  return async function explain(asked: AskedToken, from: string): Promise<Explanation> {
    const domain = senderDomain(from)
    if (domain === undefined) return notAnAddress(from)
    return explanationOf(await decideFor(asked, domain), domain)
  }
}

/** `domain` in A-labels. */
export function explanationOf(decision: Decision, domain: string): Explanation {
  const about = decision.allowed ? decision.principal : decision
  return {
    allowed: decision.allowed,
    reason: decision.allowed ? null : decision.reason,
    domain,
    tokenId: about.tokenId ?? null,
    accountId: 'accountId' in about ? about.accountId : null,
    rule: ruleOf(decision, domain),
  }
}

/** The domain that an address, or a bare domain, is of; undefined when it is neither. */
export function senderDomain(from: string): string | undefined {
  return from.includes('@') ? parseAddress(from)?.domain : normaliseDomain(from)
}

export function notAnAddress(from: string): Explanation {
  return {
    allowed: false,
    reason: 'bad-address',
    domain: null,
    tokenId: null,
    accountId: null,
    rule: `"${from}" is not one plain address, nor a domain`,
  }
}

function ruleOf(decision: Decision, domain: string): string {
  if (decision.allowed) {
    const { standing, endsAt } = decision.principal
    const until = endsAt === null ? '' : ` until ${new Date(endsAt).toISOString()}`
    const life = standing === 'reset' ? `was reset and still works${until}` : `is alive${until}`
    return `the token ${life} and administers ${domain}`
  }
  switch (decision.reason) {
    case 'no-credential':
      return 'no token was presented'
    case 'malformed-token':
      return 'the token is not of a form that any token has: its checksum or its characters are wrong'
    case 'unknown-token':
      return 'no token has this value: it was never issued here, or was deleted'
    case 'expired-token':
      return 'the token is past its expiry or the end of its reset window'
    case 'wrong-username':
      return 'the SMTP user name is not one of those accepted'
    case 'too-many-failures':
      return 'the client failed to authenticate too often lately'
    case 'too-many-calls':
      return 'the token is used more often than its rate allows'
    case 'unknown-domain':
      return `${domain} belongs to no account; subdomains are domains of their own`
    case 'unverified-domain':
      return `${domain} was added, but is not verified yet`
    case 'not-domain-admin':
      return `the token has no admin grant on ${domain}, nor on its account`
  }
}
