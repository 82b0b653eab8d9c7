import type { Clock } from '../clock.ts'
import type { DomainRecord } from '../core/grants.ts'
import type { Random } from '../random.ts'
import { confirmed, mapOutcome, type Outcome } from './confirm.ts'
import type { Mint } from './mint.ts'
import type {
  Account,
  AccountDomain,
  Actor,
  Confirm,
  GrantRequest,
  IdempotencyKey,
  NewDomain,
  Registry,
  TokenRecord,
} from './ports/registry.ts'

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
  readonly random: Pick<Random, 'bytes'>
  /** How soon a domain that is to be proven is looked at by itself. */
  readonly firstCheckMs: number
}

/** 128 bits: nobody guesses the record that another account has to set. */
const challengeBytes = 16

export type Issue = ReturnType<typeof createIssue>

/** Everything that brings tokens into being. */
export function createIssue(deps: IssueDeps) {
  const { registry, mint, confirm, clock, random, firstCheckMs } = deps

  function newDomain(state: DomainRecord['state'], at: number): NewDomain {
    if (state === 'verified') return { state }
    const challenge = Buffer.from(random.bytes(challengeBytes)).toString('hex')
    return { state, challenge, checkAt: at + firstCheckMs }
  }

  return {
    createAccount(name: string, actor: Actor): Promise<Outcome<Account>> {
      return confirmed(confirm, registry.createAccount({ name, actor, at: clock.now() }))
    },

    /** Adds a domain, and in the same transaction its own token. `name` in A-labels. */
    async addDomain(
      { accountId, name, state }: { accountId: number; name: string; state: DomainRecord['state'] },
      actor: Actor,
    ): Promise<Outcome<{ domain: AccountDomain; token: IssuedToken }>> {
      const { bearerToken, kept: token } = await mint.make()
      const at = clock.now()
      const request = { accountId, name, token, actor, at, ...newDomain(state, at) }
      const adding = registry.addDomain(request)
      return mapOutcome(await confirmed(confirm, adding), ({ domain, token: record }) => ({
        domain,
        token: { record, bearerToken },
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
