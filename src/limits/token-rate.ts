import type { Rate } from '../core/rate.ts'
import type { RateLimit } from '../service/ports/limits.ts'
import type { WindowCounts } from './window-counts.ts'

/** Counts the calls of each token; `usual` is for those that have no rate of their own. Null: no limit. */
export function createTokenRate(counts: WindowCounts, usual: Rate | null): RateLimit {
  return {
    take(tokenId, own) {
      const rate = own === undefined ? usual : own
      if (rate === null) return undefined
      const used = counts.add(tokenId, rate)
      const taken = used <= rate.limit
      return {
        limit: rate.limit,
        remaining: Math.max(0, rate.limit - used),
        waitMs: taken ? 0 : counts.msLeft(rate),
      }
    },
  }
}
