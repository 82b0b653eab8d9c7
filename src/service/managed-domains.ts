import { administersAccount, manages, ofDomain, seesDomain } from '../core/authority.ts'
import { actorOf, type Caller, type Managed } from './callers.ts'
import { confirmAbsence, isAbsence, mapOutcome } from './confirm.ts'
import type { Issue, IssuedToken } from './issue.ts'
import type { FleetRegistry } from './ports/fleet.ts'
import type { AccountDomain, Confirm, Registry } from './ports/registry.ts'
import type { Revoke } from './revoke.ts'
import type { DomainCheck, VerifyDomain } from './verify-domain.ts'

interface ManagedDomainsDeps {
  readonly registry: Pick<Registry, 'getDomain' | 'listDomains'> & Pick<FleetRegistry, 'readNodes'>
  readonly issue: Pick<Issue, 'addDomain'>
  readonly revoke: Pick<Revoke, 'removeDomain'>
  readonly verify: Pick<VerifyDomain, 'onRequest'>
  readonly confirm: Confirm
  /** May an account add domains itself: not at all, without proof, or not sendable before its proof. */
  readonly accountDomains: 'deny' | 'allow' | 'verify'
}

export type ManagedDomains = ReturnType<typeof createManagedDomains>

/** A domain and whether the one who asks administers it. */
export interface DomainView {
  readonly domain: AccountDomain
  readonly administered: boolean
}

/** The same after a look at its record; null when it was verified before. */
export interface CheckedDomainView extends DomainView {
  readonly check: DomainCheck | null
}

/** One that was just added, with its own token. */
export interface AddedDomain extends DomainView {
  readonly token: IssuedToken
}

/** Domains as a token sees and manages them: those that it has a grant on. */
export function createManagedDomains(deps: ManagedDomainsDeps) {
  const { registry, issue, revoke, verify, confirm, accountDomains } = deps

  function view(caller: Caller, domain: AccountDomain): DomainView {
    return { domain, administered: manages(caller, ofDomain(domain)) }
  }

  async function get(caller: Caller, domainId: number): Promise<DomainView | undefined> {
    const domain = await registry.getDomain(domainId)
    return domain !== undefined && seesDomain(caller, domain) ? view(caller, domain) : undefined
  }

  return {
    get,

    async list(caller: Caller): Promise<readonly DomainView[]> {
      const domains = await registry.listDomains(caller.accountId)
      return domains
        .filter((domain) => seesDomain(caller, domain))
        .map((domain) => view(caller, domain))
    },

    /** `name` in A-labels. */
    async create(caller: Caller, name: string): Promise<Managed<AddedDomain>> {
      if (accountDomains === 'deny' || !administersAccount(caller)) return { denied: 'forbidden' }
      const state = accountDomains === 'allow' ? 'verified' : 'pending'
      const { accountId } = caller
      const added = await issue.addDomain({ accountId, name, state }, actorOf(caller))
      return mapOutcome(added, ({ domain, token }) => ({ ...view(caller, domain), token }))
    },

    /** Looks at its record in the DNS now. That it is not there yet is an answer, and no refusal. */
    async verify(caller: Caller, domainId: number): Promise<Managed<CheckedDomainView>> {
      const found = await get(caller, domainId)
      if (found === undefined) return { denied: 'not-found' }
      if (accountDomains === 'deny' || !found.administered) return { denied: 'forbidden' }
      const { outcome, check } = await verify.onRequest(found.domain, actorOf(caller))
      return mapOutcome(outcome, (domain) => ({ ...view(caller, domain), check }))
    },

    /** `removed` is false when there is none that the caller sees; that too holds on every node when it is answered. */
    async remove(caller: Caller, domainId: number): Promise<Managed<{ removed: boolean }>> {
      const found = await get(caller, domainId)
      if (found?.administered === false) return { denied: 'forbidden' }
      const done = found && (await revoke.removeDomain(domainId, actorOf(caller)))
      if (done === undefined || isAbsence(done)) {
        const receipt = await confirmAbsence(confirm, registry)
        return { done: true, value: { removed: false }, receipt }
      }
      return mapOutcome(done, () => ({ removed: true }))
    },
  }
}
