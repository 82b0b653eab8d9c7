/**
 * Why a message is not let through: the closed list. Each edge translates it in a `switch` without a `default`,
 * so that a new reason does not compile until both protocols answer it.
 */
export type DenialReason =
  | 'no-credential'
  | 'malformed-token'
  | 'unknown-token'
  | 'expired-token'
  | 'wrong-username'
  | 'too-many-failures'
  | 'too-many-calls'
  | 'unknown-domain'
  | 'unverified-domain'
  | 'not-domain-admin'

/** A refusal is data, not an exception: nothing went wrong in the gate. */
export interface Denial {
  readonly allowed: false
  readonly reason: DenialReason
  /** The sender's domain (A-labels) that the refusal is about, for the reasons that are about one. */
  readonly domain?: string
  /** The credential it is about, for the log; never shown to the client. */
  readonly tokenId?: number
  /** For the reasons that pass: after how long it may be tried again. */
  readonly waitMs?: number
  /** How often this client has failed lately, this time included. */
  readonly failures?: number
}

/** Reasons that say the credential itself is no good, as opposed to what it may do. */
export function isCredentialDenial(reason: DenialReason): boolean {
  switch (reason) {
    case 'no-credential':
    case 'malformed-token':
    case 'unknown-token':
    case 'expired-token':
    case 'wrong-username':
    case 'too-many-failures':
      return true
    case 'unknown-domain':
    case 'unverified-domain':
    case 'not-domain-admin':
    case 'too-many-calls':
      return false
  }
}
