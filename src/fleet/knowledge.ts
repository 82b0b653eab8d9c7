import { revocationKey } from '../core/revocation-key.ts'
import { type Belief, type Moment, revocationKeysOf, type Sighting } from '../core/sighting.ts'
import type { LogReading } from '../service/ports/fleet.ts'

/** What one node knows of the revocation log. */
export interface Knowledge {
  /** The moment up to which everything was applied; undefined before the first reading, and in a new era. */
  moment(): Moment | undefined
  /**
   * Applies what was read by a node that knew `asked`. `gap`: the log is not whole, or went backwards; nothing was applied.
   * `new-era`: everything was forgotten, and has to be read anew.
   */
  apply(reading: LogReading, asked: Moment | undefined): 'applied' | 'gap' | 'new-era'
  /** Whether a record may still be decided on. One that may is noted to be true as of now. */
  judge(sighting: Sighting<unknown>): Belief
}

/** Some 100 bytes each. Beyond, all are dropped, and everything read before now is read again. */
const maxTombstones = 100_000

export function createKnowledge({ limit = maxTombstones } = {}): Knowledge {
  let era: string | undefined
  /** Applied through here. */
  let mine = 0
  /** Every revocation above this is known here: what was read below it cannot be judged. */
  let floor = 0
  /** The last epoch that named each key. */
  const tombstones = new Map<string, number>()

  function forget(newEra: string) {
    era = newEra
    mine = 0
    floor = 0
    tombstones.clear()
  }

  function bury(key: string, epoch: number) {
    if (epoch > (tombstones.get(key) ?? 0)) tombstones.set(key, epoch)
  }

  function wasNamedSince(epoch: number, sighting: Sighting<unknown>): boolean {
    const isNamed = (key: string) => (tombstones.get(key) ?? 0) > epoch
    if (revocationKeysOf(sighting).some(isNamed) || isNamed(revocationKey.all)) return true
    return sighting.value === undefined && isNamed(revocationKey.negatives)
  }

  return {
    moment: () => (era === undefined ? undefined : { era, epoch: mine }),

    apply({ era: read, epoch, completeFrom, entries }, asked) {
      // A reading that was on its way when the era changed is about what was forgotten.
      if (asked?.era !== era) return 'new-era'
      if (read !== era) {
        const isFirst = era === undefined
        forget(read)
        if (!isFirst) return 'new-era'
      }
      const from = Math.max(asked?.epoch ?? 0, completeFrom)
      const fresh = entries.filter((entry) => entry.epoch > from)
      if (!isWhole(fresh, from, epoch)) return 'gap'
      // Raised first: it stands for the tombstones that are no longer in the log.
      if (completeFrom > mine) floor = Math.max(floor, completeFrom)
      for (const entry of fresh) for (const key of entry.keys) bury(key, entry.epoch)
      mine = Math.max(mine, epoch)
      if (tombstones.size > limit) {
        floor = mine
        tombstones.clear()
      }
      return 'applied'
    },

    judge(sighting) {
      const { epoch } = sighting
      if (sighting.era !== era || epoch < floor) return 'stale'
      // Nothing newer is known.
      if (epoch === mine) return 'believed'
      if (epoch > mine) return 'ahead'
      if (wasNamedSince(epoch, sighting)) return 'stale'
      sighting.epoch = mine
      return 'believed'
    },
  }
}

/** One entry for each epoch from the one after `from` to `to`. Backwards only a restored database goes. */
function isWhole(entries: LogReading['entries'], from: number, to: number): boolean {
  return (
    entries.length === to - from && entries.every(({ epoch }, index) => epoch === from + 1 + index)
  )
}
