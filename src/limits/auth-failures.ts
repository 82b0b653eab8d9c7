import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { Rate } from '../core/rate.ts'
import type { AuthFailures } from '../service/ports/limits.ts'
import { networkOf } from './client-network.ts'
import type { WindowCounts } from './window-counts.ts'

/** A network may hold many clients, most of them innocent. */
const clientsOfPrefix = 8
/** Whose budget is spent is remembered of so many; those of a greater flood have theirs counted anew. */
const maxSpent = 100_000

/** One budget for both protocols: of each client, and of the network that it is in. */
export function createAuthFailures(
  counts: WindowCounts,
  rate: Rate,
  clock: Pick<Clock, 'now'>,
): AuthFailures {
  const prefixRate = { ...rate, limit: rate.limit * clientsOfPrefix }
  const spent = new LRUCache<string, true>({ max: maxSpent })
  let forgetAt = 0

  function count(key: string, ofKey: Rate): number {
    const failures = counts.add(key, ofKey)
    if (failures >= ofKey.limit) {
      forgetAt = clock.now() + counts.msLeft(ofKey)
      spent.set(key, true)
    }
    return failures
  }

  return {
    // Asked for each request: while nobody is spent, it costs nothing.
    waitMs(remoteAddress) {
      if (spent.size === 0) return 0
      if (clock.now() >= forgetAt) {
        spent.clear()
        return 0
      }
      const { client, prefix } = networkOf(remoteAddress)
      return spent.has(client) || spent.has(prefix) ? counts.msLeft(rate) : 0
    },

    add(remoteAddress) {
      const { client, prefix } = networkOf(remoteAddress)
      if (prefix !== client) count(prefix, prefixRate)
      return count(client, rate)
    },
  }
}
