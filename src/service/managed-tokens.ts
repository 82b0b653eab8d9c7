import type { Clock } from '../clock.ts'
import { manages, sees } from '../core/authority.ts'
import { changedGrants, type PermissionChange } from '../core/grants.ts'
import { actorOf, type Caller, keyOf, type Managed } from './callers.ts'
import { confirmAbsence, isAbsence, mapOutcome } from './confirm.ts'
import type { Issue, IssuedToken } from './issue.ts'
import type { FleetRegistry } from './ports/fleet.ts'
import type { Confirm, GrantRequest, Registry, TokenRecord } from './ports/registry.ts'
import type { Reset, ResetTokens } from './reset.ts'
import type { Reveal } from './reveal.ts'
import type { Revoke } from './revoke.ts'

interface ManagedTokensDeps {
  readonly registry: Pick<Registry, 'getToken' | 'pageTokens' | 'wasDeleted'> &
    Pick<FleetRegistry, 'readNodes'>
  readonly issue: Pick<Issue, 'createToken'>
  readonly reset: Reset
  readonly revoke: Pick<Revoke, 'deleteToken' | 'editToken'>
  readonly reveal: Reveal
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now'>
}

export type ManagedTokens = ReturnType<typeof createManagedTokens>

/** Which of the tokens that a caller sees it asks for. */
export interface TokenQuery {
  readonly search?: string | undefined
  readonly onDomains?: readonly number[] | undefined
}

/** So many are read at once where all are asked for: other work gets its turn in between. */
const batchSize = 1_000

/**
 * Tokens as another token sees and manages them: in its own account, and never beyond what it has itself. What is asked
 * here decides what a caller is told; the store judges once more, in the transaction that makes the change.
 */
export function createManagedTokens(deps: ManagedTokensDeps) {
  const { registry, issue, reset, revoke, reveal, confirm, clock } = deps

  /** A token in the caller's power, or why it is not. */
  async function managed(caller: Caller, tokenId: number) {
    const token = await registry.getToken(tokenId)
    if (token === undefined || !sees(caller, token)) return { denied: 'not-found' } as const
    return manages(caller, token) ? token : ({ denied: 'forbidden' } as const)
  }

  return {
    /** The next ones after an id. */
    page(
      caller: Caller,
      { after, limit, ...query }: TokenQuery & { readonly after: number; readonly limit: number },
    ): Promise<readonly TokenRecord[]> {
      const { accountId } = caller
      return registry.pageTokens({ accountId, after, limit, seenBy: caller, ...query })
    },

    /** All of them, some at a time. */
    async *all(caller: Caller, query: TokenQuery): AsyncGenerator<readonly TokenRecord[]> {
      for (let after = 0; ; ) {
        const batch = await this.page(caller, { after, limit: batchSize, ...query })
        yield batch
        const last = batch.at(-1)
        if (last === undefined || batch.length < batchSize) return
        after = last.id
      }
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
      return issue.createToken({ accountId, ...request }, actorOf(caller), keyOf(caller, key))
    },

    async reset(
      caller: Caller,
      request: { tokenId: number; windowMs?: number; expiresAt?: number | null },
      key: string | undefined,
    ): Promise<Managed<ResetTokens>> {
      const token = await managed(caller, request.tokenId)
      if ('denied' in token) return token
      return reset.reset(request, actorOf(caller), keyOf(caller, key))
    },

    /** Its window ends so long from now. */
    async changeWindow(
      caller: Caller,
      tokenId: number,
      remainingMs: number,
    ): Promise<Managed<TokenRecord>> {
      const token = await managed(caller, tokenId)
      if ('denied' in token) return token
      const prolongs = clock.now() + remainingMs > (token.windowEndsAt ?? 0)
      if (tokenId === caller.tokenId && prolongs) return { denied: 'own-life' }
      return reset.changeWindow(tokenId, remainingMs, actorOf(caller))
    },

    async undoReset(caller: Caller, tokenId: number): Promise<Managed<TokenRecord>> {
      const token = await managed(caller, tokenId)
      if ('denied' in token) return token
      if (tokenId === caller.tokenId) return { denied: 'own-life' }
      return reset.undo(tokenId, actorOf(caller))
    },

    /** Name, the whole set of permissions, or both. */
    async edit(
      caller: Caller,
      tokenId: number,
      { name, grants }: { name?: string | undefined; grants?: readonly GrantRequest[] | undefined },
    ): Promise<Managed<TokenRecord>> {
      const token = await managed(caller, tokenId)
      if ('denied' in token) return token
      if (grants === undefined) return revoke.editToken({ tokenId, name }, actorOf(caller))
      if (tokenId === caller.tokenId) return { denied: 'own-permissions' }
      return revoke.editToken({ tokenId, name, grants: () => grants }, actorOf(caller))
    },

    /** Single permissions; those that nothing is said of stay. */
    async changePermissions(
      caller: Caller,
      tokenId: number,
      changes: readonly PermissionChange[],
    ): Promise<Managed<TokenRecord>> {
      const token = await managed(caller, tokenId)
      if ('denied' in token) return token
      if (tokenId === caller.tokenId) return { denied: 'own-permissions' }
      const grants = (current: TokenRecord['grants']) => changedGrants(current, changes)
      return revoke.editToken({ tokenId, grants }, actorOf(caller))
    },

    /** The token itself, from its sealed copy. */
    async reveal(caller: Caller, tokenId: number): Promise<Managed<IssuedToken>> {
      const token = await managed(caller, tokenId)
      if ('denied' in token) return token
      const opened = await reveal(tokenId, actorOf(caller))
      if (!opened.done) return opened
      return { done: true, value: { record: token, bearerToken: opened.value }, receipt: null }
    },

    /** `deleted` is false when there is no such token, nor was one that the caller could have deleted. */
    async remove(caller: Caller, tokenId: number): Promise<Managed<{ deleted: boolean }>> {
      const token = await managed(caller, tokenId)
      const wasDeleted =
        'denied' in token &&
        token.denied === 'not-found' &&
        (await registry.wasDeleted(tokenId, caller.accountId))
      if ('denied' in token && token.denied === 'forbidden') return token
      const isKnown = !('denied' in token) || wasDeleted
      const done = isKnown ? await revoke.deleteToken(tokenId, actorOf(caller)) : undefined
      if (done === undefined || isAbsence(done)) {
        const receipt = await confirmAbsence(confirm, registry)
        return { done: true, value: { deleted: false }, receipt }
      }
      return mapOutcome(done, () => ({ deleted: true }))
    },
  }
}
