import type { Clock } from '../clock.ts'
import type { DomainRecord } from '../core/grants.ts'
import type { Mint } from './mint.ts'
import type { Account, Actor, Change, GrantRequest, Registry, TokenRecord } from './ports.ts'

/** A token with its secret, which no later answer repeats. */
export interface IssuedToken {
  readonly record: TokenRecord
  readonly bearerToken: string
}

interface IssueDeps {
  readonly registry: Pick<Registry, 'createAccount' | 'addDomain' | 'createToken'>
  readonly mint: Mint
  readonly clock: Pick<Clock, 'now'>
}

export type Issue = ReturnType<typeof createIssue>

/** Everything that brings tokens into being. */
export function createIssue({ registry, mint, clock }: IssueDeps) {
  return {
    createAccount(name: string, actor: Actor): Promise<Change<Account>> {
      return registry.createAccount({ name, actor, at: clock.now() })
    },

    /** Adds a domain, and in the same transaction its own token. `name` in A-labels. */
    async addDomain(
      request: { accountId: number; name: string; state: DomainRecord['state'] },
      actor: Actor,
    ): Promise<Change<{ domain: DomainRecord; token: IssuedToken }>> {
      const { bearerToken, kept } = await mint()
      const at = clock.now()
      const added = await registry.addDomain({ ...request, token: kept, actor, at })
      if (!added.done) return added
      const { domain, token } = added.value
      return { ...added, value: { domain, token: { record: token, bearerToken } } }
    },

    async createToken(
      request: {
        accountId: number
        name: string
        grants: readonly GrantRequest[]
        expiresAt: number | null
      },
      actor: Actor,
    ): Promise<Change<IssuedToken>> {
      const { bearerToken, kept } = await mint()
      const at = clock.now()
      const created = await registry.createToken({ ...request, token: kept, actor, at })
      if (!created.done) return created
      return { ...created, value: { record: created.value, bearerToken } }
    },
  }
}
