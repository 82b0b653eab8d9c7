import type { Clock } from '../clock.ts'
import type { RateLimit } from './ports.ts'

/** The vendor's: 150 calls in 10 seconds for each token. */
const defaults = { limit: 150, windowMs: 10_000 }

/** Counts the calls of each token in fixed windows, in this process alone. Between two windows everything is forgotten. */
export function createTokenRate(
  clock: Pick<Clock, 'monotonic'>,
  { limit, windowMs } = defaults,
): RateLimit {
  let counts = new Map<number, number>()
  let current = -1

  return {
    take(tokenId) {
      const now = clock.monotonic()
      const window = Math.floor(now / windowMs)
      if (window !== current) {
        current = window
        counts = new Map()
      }
      const used = (counts.get(tokenId) ?? 0) + 1
      counts.set(tokenId, used)
      const taken = used <= limit
      return {
        limit,
        remaining: Math.max(0, limit - used),
        waitMs: taken ? 0 : (window + 1) * windowMs - now,
      }
    },
  }
}
