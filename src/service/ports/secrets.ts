import type { Actor } from './registry.ts'

/** A value that only holders of the seal key can read. */
export interface SealedSecret {
  readonly id: string
  readonly kind: 'signing-key'
  readonly createdAt: number
  /** After this instant it is no longer used for anything; null while it is the current one. */
  readonly retiredAt: number | null
  /** A compact JWE (RFC 7516). */
  readonly sealed: string
}

export interface SecretStore {
  /** Newest first. */
  listSecrets(kind: SealedSecret['kind']): Promise<SealedSecret[]>
  /**
   * Makes this the current secret of its kind and retires the one before at `retirePreviousAt`. With `onlyIfNone` it
   * does nothing when a current one exists: two nodes that start at once agree on one. Answers whether it was stored.
   */
  putSecret(
    secret: Omit<SealedSecret, 'retiredAt'>,
    how: { retirePreviousAt: number; onlyIfNone: boolean; actor: Actor },
  ): Promise<boolean>
}
