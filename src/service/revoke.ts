import type { Clock } from '../clock.ts'
import { confirmed } from './confirm.ts'
import type { Actor, Confirm, GrantRequest, Registry } from './ports.ts'

interface RevokeDeps {
  readonly registry: Pick<Registry, 'deleteToken' | 'replaceGrants' | 'removeDomain'>
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now'>
}

export type Revoke = ReturnType<typeof createRevoke>

/** Everything that takes rights away, or changes them, at once. */
export function createRevoke({ registry, confirm, clock }: RevokeDeps) {
  return {
    /** Repeating it finds the tombstone, waits like the first call, and succeeds again. */
    deleteToken: (tokenId: number, actor: Actor) =>
      confirmed(confirm, registry.deleteToken({ tokenId, actor, at: clock.now() })),

    /** Replaces the whole set of grants. */
    replaceGrants: (tokenId: number, grants: readonly GrantRequest[], actor: Actor) =>
      confirmed(confirm, registry.replaceGrants({ tokenId, grants, actor, at: clock.now() })),

    removeDomain: (domainId: number, actor: Actor) =>
      confirmed(confirm, registry.removeDomain({ domainId, actor, at: clock.now() })),
  }
}
