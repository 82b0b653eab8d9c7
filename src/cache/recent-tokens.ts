import { LRUCache } from 'lru-cache'
import type { Digest } from '../core/token.ts'
import type { PresentedToken, RecentTokens } from '../service/ports/presented-token.ts'

/** Some 500 bytes each, without the assertion. */
const maxKept = 10_000

/** In the memory of this process; never more than `maxTokens`, for which the operator has made room. */
export function createRecentTokens(maxTokens: number): RecentTokens {
  const kept = new LRUCache<Digest, PresentedToken>({ max: Math.min(maxTokens, maxKept) })
  return {
    find: (digest) => kept.get(digest),
    keep: (token) => void kept.set(token.digest, token),
  }
}
