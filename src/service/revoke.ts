import type { Clock } from '../clock.ts'
import { OutcomeUnknown } from '../core/outcome-unknown.ts'
import { confirmed, type Outcome } from './confirm.ts'
import type { Actor, Confirm, GrantRequest, Registry, TokenRecord } from './ports/registry.ts'

interface RevokeDeps {
  readonly registry: Pick<Registry, 'deleteToken' | 'replaceGrants' | 'editToken' | 'removeDomain'>
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now'>
}

export type Revoke = ReturnType<typeof createRevoke>

/** Of a commit whose answer was lost the tombstone tells what became of it. */
function repeatIfUnknown<T>(call: () => Promise<T>) {
  return function repeat(error: unknown): Promise<T> {
    if (error instanceof OutcomeUnknown) return call()
    throw error
  }
}

/** Everything that takes rights away, or changes them, at once. */
export function createRevoke({ registry, confirm, clock }: RevokeDeps) {
  return {
    /** Repeating it finds the tombstone, waits like the first call, and succeeds again. */
    deleteToken(tokenId: number, actor: Actor) {
      const remove = () => registry.deleteToken({ tokenId, actor, at: clock.now() })
      return confirmed(confirm, remove().catch(repeatIfUnknown(remove)))
    },

    /** Replaces the whole set of grants. */
    replaceGrants: (tokenId: number, grants: readonly GrantRequest[], actor: Actor) =>
      confirmed(confirm, registry.replaceGrants({ tokenId, grants, actor, at: clock.now() })),

    /** Changes name, permissions and rate together. */
    editToken: (
      request: Omit<Parameters<Registry['editToken']>[0], 'actor' | 'at'>,
      actor: Actor,
    ): Promise<Outcome<TokenRecord>> =>
      confirmed(confirm, registry.editToken({ ...request, actor, at: clock.now() })),

    removeDomain: (domainId: number, actor: Actor) =>
      confirmed(confirm, registry.removeDomain({ domainId, actor, at: clock.now() })),
  }
}
