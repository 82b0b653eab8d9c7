import type { Clock } from '../clock.ts'
import type { DomainRecord } from '../core/grants.ts'
import { confirmed, mapOutcome, type Outcome } from './confirm.ts'
import type { Mint } from './mint.ts'
import type {
  Account,
  Actor,
  Confirm,
  GrantRequest,
  IdempotencyKey,
  Registry,
  TokenRecord,
} from './ports.ts'

/** A token with its secret, which no later answer repeats. */
export interface IssuedToken {
  readonly record: TokenRecord
  readonly bearerToken: string
}

interface IssueDeps {
  readonly registry: Pick<Registry, 'createAccount' | 'addDomain' | 'createToken'>
  readonly mint: Mint
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now'>
}

export type Issue = ReturnType<typeof createIssue>

/** Everything that brings tokens into being. */
export function createIssue({ registry, mint, confirm, clock }: IssueDeps) {
  return {
    createAccount(name: string, actor: Actor): Promise<Outcome<Account>> {
      return confirmed(confirm, registry.createAccount({ name, actor, at: clock.now() }))
    },

    /** Adds a domain, and in the same transaction its own token. `name` in A-labels. */
    async addDomain(
      request: { accountId: number; name: string; state: DomainRecord['state'] },
      actor: Actor,
    ): Promise<Outcome<{ domain: DomainRecord; token: IssuedToken }>> {
      const { bearerToken, kept } = await mint.make()
      const at = clock.now()
      const adding = registry.addDomain({ ...request, token: kept, actor, at })
      return mapOutcome(await confirmed(confirm, adding), ({ domain, token }) => ({
        domain,
        token: { record: token, bearerToken },
      }))
    },

    async createToken(
      request: {
        accountId: number
        name: string
        grants: readonly GrantRequest[]
        expiresAt: number | null
      },
      actor: Actor,
      key?: IdempotencyKey,
    ): Promise<Outcome<IssuedToken>> {
      const fresh = await mint.make(key, { create: request })
      const { kept: token, once } = fresh
      const creating = registry.createToken({ ...request, token, once, actor, at: clock.now() })
      const created = await confirmed(confirm, creating)
      const bearerToken = await mint.secretOf(created, fresh)
      return mapOutcome(created, (record) => ({ record, bearerToken }))
    },
  }
}
