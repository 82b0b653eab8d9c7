import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { Rate } from '../core/rate.ts'

/** Tells the others how many this process has counted in all, and answers what that is with theirs. May be repeated. */
export type ShareCount = (key: string, own: number, lifetimeMs: number) => Promise<number>

export interface WindowCountsDeps {
  /** Corrected to the database's, so that processes agree on where a window begins. */
  readonly clock: Pick<Clock, 'now'>
  readonly share?: ShareCount | undefined
  /** So many counts are kept; the one that was not used for longest is forgotten. */
  readonly maxKeys: number
}

/** All keys of one count are of one kind. */
type Key = string | number

/** Counts by key in fixed windows, at once and in this process; what others count is learned in the background. */
export interface WindowCounts {
  /** Counts one, and answers how many there are in this window. */
  add(key: Key, rate: Rate): number
  /** Until the window ends. */
  msLeft(rate: Rate): number
}

interface Count {
  readonly window: number
  /** Of this process; the others have been told of so many. */
  own: number
  told: number
  others: number
  isSharing: boolean
}

/** A count goes to the others when it has grown by this share of the limit: none of them can let through much more. */
const heldBack = 0.02

export function createWindowCounts({ clock, share, maxKeys }: WindowCountsDeps): WindowCounts {
  const counts = new LRUCache<Key, Count>({ max: maxKeys })

  const windowOf = ({ windowMs }: Rate) => Math.floor(clock.now() / windowMs)

  function current(key: Key, rate: Rate): Count {
    const window = windowOf(rate)
    const kept = counts.get(key)
    if (kept?.window === window) return kept
    const count = { window, own: 0, told: 0, others: 0, isSharing: false }
    counts.set(key, count)
    return count
  }

  /** One exchange at a time: what is counted meanwhile goes with the next. Nobody waits for it. */
  async function exchange(key: Key, count: Count, { limit, windowMs }: Rate, by: ShareCount) {
    const least = Math.max(1, Math.floor(limit * heldBack))
    count.isSharing = true
    try {
      while (count.own - count.told >= least) {
        const { own } = count
        const total = await by(`${key}:${windowMs}:${count.window}`, own, 2 * windowMs)
        count.told = own
        if (Number.isSafeInteger(total)) count.others = Math.max(0, total - own)
      }
    } catch {
      // Then everyone counts alone; the next one tries again.
    } finally {
      count.isSharing = false
    }
  }

  return {
    add(key, rate) {
      const count = current(key, rate)
      count.own += 1
      if (share !== undefined && !count.isSharing) void exchange(key, count, rate, share)
      return count.own + count.others
    },

    msLeft: (rate) => (windowOf(rate) + 1) * rate.windowMs - clock.now(),
  }
}
