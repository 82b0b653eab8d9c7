import type { MaybePromise } from '../../core/maybe-promise.ts'
import type { Rate } from '../../core/rate.ts'

/** How often a token may call. */
export interface RateLimit {
  /**
   * Counts one call; `own` is the token's own rate, null for none, undefined for the usual one. `waitMs` is 0 when it may be
   * served, else when the next one may be. Undefined when nothing is counted.
   */
  take(
    tokenId: number,
    own: Rate | null | undefined,
  ): { readonly limit: number; readonly remaining: number; readonly waitMs: number } | undefined
}

/** How often clients may fail to authenticate. Never throws: who cannot be counted is not limited. */
export interface AuthFailures {
  /** 0 while this client may fail; else for how long its budget is spent. */
  waitMs(remoteAddress: string): number
  /** Counts a failure; answers how many this client has had in this window. */
  add(remoteAddress: string): number
}

/** Lets few in at a time; the others wait in a line that is short. */
export interface Turnstile {
  /** Undefined, at once, when the line is full. */
  pass<T>(work: () => MaybePromise<T>): Promise<T> | undefined
}

/** How many may be there at once, by key. */
export interface Seats {
  /** Undefined when all are taken; else how to give it back, where a second call does nothing. */
  take(key: string): (() => void) | undefined
}

/** Memory for bodies that are being read or forwarded. */
export interface BodyMemory {
  /** Bytes, of all accounts. */
  held(): number
  open(accountId: number): {
    /** False when there is no room for so many bytes more. */
    take(bytes: number): boolean
    /** Gives everything back. */
    release(): void
  }
}
