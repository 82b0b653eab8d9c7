import type { Principal } from '../../core/decide.ts'
import type { MaybePromise } from '../../core/maybe-promise.ts'

export interface AssertionRequest {
  /** The upstream. */
  readonly audience: string
  readonly principal: Principal
  /** The domains (A-labels) that may be sent as, as decided. */
  readonly senders: readonly string[]
  readonly protocol: 'http' | 'smtp'
}

export interface SignedAssertion {
  readonly jws: string
  readonly kid: string
  /** Milliseconds, monotonic. */
  readonly signedAt: number
  readonly about: AssertionRequest
}

/** Where the last assertion about a token is kept: written by the signer. */
export interface AssertionSlot {
  assertion: SignedAssertion | undefined
}

/** What the upstream is told about the message it is handed: signed, so that it needs no call back to the gate. */
export interface AssertionSigner {
  /**
   * A compact JWS (RFC 7515) for the header `Postern-Assertion`, reused while fresh. At once, unless the key has to be read.
   */
  sign(slot: AssertionSlot, request: AssertionRequest): MaybePromise<string>
}
