import type { Clock } from '../clock.ts'
import type { DomainRecord } from '../core/grants.ts'
import type { Actor, Change, GrantRequest, Registry, TokenRecord } from './ports.ts'

/** Says how far a change has got when its answer arrives. */
export interface Receipt {
  /** The change's entry in the revocation log. */
  readonly epoch: number
  /** Nodes that said they applied it, and nodes that were waited out. */
  readonly confirmed: number
  readonly fenced: number
  readonly ms: number
}

interface RevokeDeps {
  readonly registry: Pick<Registry, 'deleteToken' | 'replaceGrants' | 'removeDomain'>
  readonly clock: Clock
}

export type Revoke = ReturnType<typeof createRevoke>

/** Everything that takes rights away, or changes them, at once. */
export function createRevoke({ registry, clock }: RevokeDeps) {
  /**
   * Every decision reads the store, so that a committed change holds for every node and nobody has to be waited for.
   */
  async function withReceipt<T>(
    change: () => Promise<Change<T>>,
  ): Promise<Change<T> & { readonly receipt?: Receipt }> {
    const startedAt = clock.monotonic()
    const changed = await change()
    if (!changed.done || changed.epoch === null) return changed
    const ms = Math.round((clock.monotonic() - startedAt) * 10) / 10
    return { ...changed, receipt: { epoch: changed.epoch, confirmed: 0, fenced: 0, ms } }
  }

  return {
    /** Repeating it finds the tombstone and succeeds again. */
    deleteToken: (tokenId: number, actor: Actor) =>
      withReceipt(() => registry.deleteToken({ tokenId, actor, at: clock.now() })),

    /** Replaces the whole set of grants. */
    replaceGrants: (tokenId: number, grants: readonly GrantRequest[], actor: Actor) =>
      withReceipt<TokenRecord>(() =>
        registry.replaceGrants({ tokenId, grants, actor, at: clock.now() }),
      ),

    removeDomain: (domainId: number, actor: Actor) =>
      withReceipt<DomainRecord>(() => registry.removeDomain({ domainId, actor, at: clock.now() })),
  }
}
