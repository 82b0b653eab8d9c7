import { type Holder, manages, sees } from '../core/authority.ts'
import type { Digest } from '../core/token.ts'
import type { Authenticator } from './authenticate.ts'
import type { Outcome } from './confirm.ts'
import type { Issue, IssuedToken } from './issue.ts'
import type {
  Actor,
  Confirm,
  FleetRegistry,
  GrantRequest,
  IdempotencyKey,
  Registry,
  TokenRecord,
} from './ports.ts'
import type { Reset } from './reset.ts'
import type { Revoke } from './revoke.ts'

/** A token that calls the management API, proven, with what it may do. */
export interface Caller extends Holder {
  readonly tokenId: number
  readonly name: string
  /** Where the call came from, for the audit trail. */
  readonly origin: string
}

/** What it asked about is not there, or not for its eyes; or there, and not in its power. */
export type Unmanaged = { readonly denied: 'not-found' } | { readonly denied: 'forbidden' }
export type Managed<T> = Outcome<T> | Unmanaged

interface ManagedTokensDeps {
  readonly registry: Pick<Registry, 'getToken' | 'listTokens' | 'wasDeleted'> &
    Pick<FleetRegistry, 'readNodes'>
  readonly authenticator: Pick<Authenticator, 'present' | 'authorise'>
  readonly issue: Pick<Issue, 'createToken'>
  readonly reset: Pick<Reset, 'reset'>
  readonly revoke: Pick<Revoke, 'deleteToken'>
  readonly confirm: Confirm
}

export type ManagedTokens = ReturnType<typeof createManagedTokens>

/** Tokens as another token sees and manages them: in its own account, and never beyond what it has itself. */
export function createManagedTokens(deps: ManagedTokensDeps) {
  const { registry, authenticator, issue, reset, revoke, confirm } = deps

  /** A token in the caller's power, or why it is not. */
  async function managed(caller: Caller, tokenId: number): Promise<TokenRecord | Unmanaged> {
    const token = await registry.getToken(tokenId)
    if (token === undefined || !sees(caller, token)) return { denied: 'not-found' }
    return manages(caller, token) ? token : { denied: 'forbidden' }
  }

  /**
   * Whoever repeats a call wants to know that it holds everywhere: also "there is no such token" is answered only when no
   * node decides on an older state.
   */
  async function confirmAbsence() {
    const { moment } = await registry.readNodes()
    return confirm(moment.epoch)
  }

  return {
    /** The caller behind a bearer token, or undefined when it is none that lives. Throws when that cannot be found out. */
    async authenticate(bearerToken: string, origin: string): Promise<Caller | undefined> {
      const presented = authenticator.present(bearerToken)
      if (!presented.wellFormed) return undefined
      const digest: Digest = presented.digest
      const verdict = await authenticator.authorise(digest, [])
      if (!verdict.allowed) return undefined
      const token = await registry.getToken(verdict.principal.tokenId)
      if (token === undefined) return undefined
      const { id: tokenId, name, accountId, grants } = token
      return { tokenId, name, accountId, grants, origin }
    },

    async list(caller: Caller): Promise<readonly TokenRecord[]> {
      const tokens = await registry.listTokens(caller.accountId)
      return tokens.filter((token) => sees(caller, token))
    },

    async get(caller: Caller, tokenId: number): Promise<TokenRecord | undefined> {
      const token = await registry.getToken(tokenId)
      return token !== undefined && sees(caller, token) ? token : undefined
    },

    async create(
      caller: Caller,
      request: { name: string; grants: readonly GrantRequest[]; expiresAt: number | null },
      key: string | undefined,
    ): Promise<Managed<IssuedToken>> {
      const { accountId } = caller
      if (!manages(caller, { accountId, grants: request.grants })) return { denied: 'forbidden' }
      const idempotency = idempotencyKey(caller, key)
      return issue.createToken({ accountId, ...request }, actorOf(caller), idempotency)
    },

    async reset(
      caller: Caller,
      request: { tokenId: number; windowMs?: number; expiresAt?: number | null },
      key: string | undefined,
    ): Promise<Managed<IssuedToken>> {
      const token = await managed(caller, request.tokenId)
      if ('denied' in token) return token
      const done = await reset.reset(request, actorOf(caller), idempotencyKey(caller, key))
      return done.done ? { ...done, value: done.value.successor } : done
    },

    /** `deleted` is false when there is no such token, nor was one that the caller could have deleted. */
    async remove(caller: Caller, tokenId: number): Promise<Managed<{ deleted: boolean }>> {
      const token = await managed(caller, tokenId)
      const wasDeleted =
        'denied' in token &&
        token.denied === 'not-found' &&
        (await registry.wasDeleted(tokenId, caller.accountId))
      if ('denied' in token && !wasDeleted) {
        if (token.denied === 'forbidden') return token
        return { done: true, value: { deleted: false }, receipt: await confirmAbsence() }
      }
      const done = await revoke.deleteToken(tokenId, actorOf(caller))
      return done.done ? { ...done, value: { deleted: true } } : done
    },
  }
}

function actorOf({ name, origin }: Caller): Actor {
  return { name, origin }
}

/** Two callers may choose the same key. */
function idempotencyKey({ tokenId }: Caller, key: string | undefined): IdempotencyKey | undefined {
  return key === undefined ? undefined : { scope: `token:${tokenId}`, key }
}
