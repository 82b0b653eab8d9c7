import type { Principal } from '../../core/decide.ts'
import type { MaybePromise } from '../../core/maybe-promise.ts'

/** What the upstream is told about the message it is handed: signed, so that it needs no call back to the gate. */
export interface AssertionSigner {
  /**
   * A compact JWS (RFC 7515) for the header `Postern-Assertion`, reused for its token while fresh. At once, unless the key has
   * to be read.
   * `audience` is the upstream; `senders` the domains (A-labels) it may send as, as decided.
   */
  sign(request: {
    readonly audience: string
    readonly principal: Principal
    readonly senders: readonly string[]
    readonly protocol: 'http' | 'smtp'
  }): MaybePromise<string>
}
