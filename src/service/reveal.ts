import type { Clock } from '../clock.ts'
import type { Actor, Change, Registry } from './ports/registry.ts'

interface RevealDeps {
  readonly registry: Pick<Registry, 'openSealedCopy'>
  readonly openSealed: (sealed: string) => Promise<string>
  readonly clock: Pick<Clock, 'now'>
}

export type Reveal = ReturnType<typeof createReveal>

/** Copies a token from its sealed copy. Each opening stands in the audit trail before the copy is opened. */
export function createReveal({ registry, openSealed, clock }: RevealDeps) {
  return async function reveal(tokenId: number, actor: Actor): Promise<Change<string>> {
    const sealed = await registry.openSealedCopy({ tokenId, actor, at: clock.now() })
    if (!sealed.done) return sealed
    return { ...sealed, value: await openSealed(sealed.value) }
  }
}
