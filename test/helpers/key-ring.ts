import { randomBytes } from 'node:crypto'
import { createKeyRing } from '../../src/assertion/key-ring.ts'
import { createSeal } from '../../src/assertion/seal.ts'
import type { Clock } from '../../src/clock.ts'
import type { SealedSecret, SecretStore } from '../../src/service/ports/secrets.ts'

/** A secret store in memory, as the contract in ports/secrets.ts has it. */
export function createMemorySecrets(): SecretStore & { readonly held: SealedSecret[] } {
  const held: SealedSecret[] = []
  return {
    held,
    listSecrets: async (kind) => held.filter((secret) => secret.kind === kind).reverse(),
    async putSecret(secret, { retirePreviousAt, onlyIfNone }) {
      const current = held.findIndex(({ retiredAt }) => retiredAt === null)
      const previous = held[current]
      if (previous !== undefined) {
        if (onlyIfNone) return false
        held[current] = { ...previous, retiredAt: retirePreviousAt }
      }
      held.push({ ...secret, retiredAt: null })
      return true
    },
  }
}

export function createTestKeyRing(clock: Clock) {
  return createKeyRing({
    secrets: createMemorySecrets(),
    seal: createSeal(randomBytes(32)),
    clock,
  })
}
