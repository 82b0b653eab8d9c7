import type { Clock } from '../clock.ts'
import { administersAccount, manages, ofDomain, sees, seesDomain } from '../core/authority.ts'
import { decide } from '../core/decide.ts'
import type { AccessLevel, DomainRecord } from '../core/grants.ts'
import { ownRate } from '../core/rate.ts'
import type { Authenticator } from './authenticate.ts'
import type { Caller } from './callers.ts'
import {
  type AskedToken,
  type Explanation,
  explanationOf,
  notAnAddress,
  senderDomain,
} from './explain.ts'
import type { Lookup } from './ports/lookup.ts'
import type { Account, AuditEvent, Registry, TokenRecord } from './ports/registry.ts'

interface ManagedAccountDeps {
  readonly registry: Pick<Registry, 'getAccount' | 'getToken' | 'listDomains' | 'listAuditEvents'> &
    Pick<Lookup, 'findCredential'>
  readonly authenticator: Pick<Authenticator, 'present'>
  readonly clock: Pick<Clock, 'now'>
}

export type ManagedAccount = ReturnType<typeof createManagedAccount>

/** What a caller administers: the account as a whole, or some of its domains. */
export interface Administered {
  /** Undefined when it is only domains. */
  readonly account: Account | undefined
  readonly domains: readonly DomainRecord[]
}

/** What a token may know of its account besides tokens and domains. */
export function createManagedAccount({ registry, authenticator, clock }: ManagedAccountDeps) {
  async function findToken(caller: Caller, asked: AskedToken): Promise<TokenRecord | undefined> {
    const tokenId = 'tokenId' in asked ? asked.tokenId : await idOf(asked.bearerToken)
    const token = tokenId === undefined ? undefined : await registry.getToken(tokenId)
    return token !== undefined && sees(caller, token) ? token : undefined
  }

  async function idOf(bearerToken: string): Promise<number | undefined> {
    const presented = authenticator.present(bearerToken)
    if (presented === undefined) return undefined
    return (await registry.findCredential(presented.digest)).value?.tokenId
  }

  return {
    /** Its account, and its level on it as a whole; null where it has grants on single domains only. */
    async account({ accountId, grants }: Caller) {
      const account = await registry.getAccount(accountId)
      const own = grants.find(({ resource }) => resource.type === 'account')
      const level: AccessLevel | null = own?.level ?? null
      return account && { account, level }
    },

    async administered(caller: Caller): Promise<Administered> {
      const { accountId } = caller
      const domains = await registry.listDomains(accountId)
      return {
        account: administersAccount(caller) ? await registry.getAccount(accountId) : undefined,
        domains: domains.filter((domain) => manages(caller, ofDomain(domain))),
      }
    },

    /** Newest first; undefined when it is not for the caller's eyes. */
    async auditEvents(
      caller: Caller,
      page: { readonly before?: number | undefined; readonly limit: number },
    ): Promise<readonly AuditEvent[] | undefined> {
      if (!administersAccount(caller)) return undefined
      return registry.listAuditEvents({ accountId: caller.accountId, ...page })
    },

    /**
     * The decision that a message would meet. A token that the caller does not see is answered as one that is not there,
     * and so is a domain.
     */
    async explain(caller: Caller, asked: AskedToken, from: string): Promise<Explanation> {
      const name = senderDomain(from)
      if (name === undefined) return notAnAddress(from)
      if ('bearerToken' in asked && authenticator.present(asked.bearerToken) === undefined) {
        return explanationOf({ allowed: false, reason: 'malformed-token' }, name)
      }
      const token = await findToken(caller, asked)
      const own = await registry.listDomains(caller.accountId)
      const record = own.find((domain) => domain.name === name && seesDomain(caller, domain))
      const credential = token && { ...token, tokenId: token.id, rate: ownRate(token.rate) }
      return explanationOf(decide(credential, [{ name, record }], clock.now()), name)
    },
  }
}
