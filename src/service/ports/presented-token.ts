import type { Digest } from '../../core/token.ts'
import type { Clearance } from '../authenticate.ts'
import type { AssertionSlot } from './assertions.ts'

/**
 * A token as it was presented, unproven, with what this process found out about it earlier: none of that is used without asking
 * whether it still holds. Two write into it, each its own, so that one look-up by digest finds both.
 */
export interface PresentedToken extends AssertionSlot {
  readonly digest: Digest
  /** The last leave to send: written by the authenticator. */
  clearance: Clearance | undefined
  /** The domains (A-labels) that it was asked for. */
  clearedFor: readonly string[]
  /** In which ten seconds it was given, as the authenticator counts them. */
  clearedIn: number
}

/** Tokens that were lately let send. */
export interface RecentTokens {
  find(digest: Digest): PresentedToken | undefined
  keep(token: PresentedToken): void
}
