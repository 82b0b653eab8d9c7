import type { Clock } from '../clock.ts'

/**
 * A clock set by the database's, so that all nodes agree on when a token ends, whatever their own wall clocks say. It runs
 * on the monotonic clock from the last setting; before the first it is the wall clock.
 */
export interface DatabaseClock extends Clock {
  /** The database said `at` in answer to a question that was asked and answered at these monotonic instants. */
  set(at: number, askedAt: number, answeredAt: number): void
  /** Milliseconds by which the node's wall clock is ahead of the database's. */
  skew(): number
}

/** An answer that took longer says too little about its instant, unless nothing better is known. */
const longestUsefulTripMs = 1_000

export function createDatabaseClock(clock: Clock): DatabaseClock {
  /** Database time less monotonic time. */
  let offset: number | undefined

  function now(): number {
    return offset === undefined ? clock.now() : Math.round(clock.monotonic() + offset)
  }

  return {
    now,
    monotonic: () => clock.monotonic(),
    uptime: () => clock.uptime(),
    set(at, askedAt, answeredAt) {
      if (offset !== undefined && answeredAt - askedAt > longestUsefulTripMs) return
      offset = at - (askedAt + answeredAt) / 2
    },
    skew: () => clock.now() - now(),
  }
}
