import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { Sighting } from '../core/sighting.ts'

/** Sightings of one kind, kept in this process. Bounded in number, those of nothing apart from the others. */
export interface Memory<T> {
  get(name: string): Sighting<T> | undefined
  put(name: string, sighting: Sighting<T>): void
  delete(name: string): void
  readonly size: number
}

/** A flood of random tokens fills this, and evicts nothing good. */
const maxNegatives = 10_000
/** So that nothing is refused for long that was made known by a way that announces nothing. */
const negativeLifetimeMs = 5_000

export function createMemory<T>(
  clock: Pick<Clock, 'monotonic'>,
  { maxPositives }: { readonly maxPositives: number },
): Memory<T> {
  const positives = new LRUCache<string, Sighting<T>>({ max: maxPositives })
  const negatives = new LRUCache<string, { readonly sighting: Sighting<T>; readonly at: number }>({
    max: maxNegatives,
  })

  /** Each record came with a text of its own for the era, which is the same for all. */
  let era = ''
  /** Found last: a request asks several times for its token. Every change forgets it, so that it is never older than the maps. */
  let latest: Sighting<T> | undefined

  return {
    get(name) {
      if (latest?.name === name) return latest
      const positive = positives.get(name)
      if (positive !== undefined) {
        latest = positive
        return positive
      }
      const negative = negatives.get(name)
      if (negative === undefined) return undefined
      if (clock.monotonic() - negative.at <= negativeLifetimeMs) return negative.sighting
      negatives.delete(name)
      return undefined
    },

    put(name, sighting) {
      latest = undefined
      if (sighting.value === undefined) {
        positives.delete(name)
        negatives.set(name, { sighting, at: clock.monotonic() })
      } else {
        negatives.delete(name)
        if (sighting.era !== era) era = sighting.era
        positives.set(name, { ...sighting, era, name })
      }
    },

    delete(name) {
      latest = undefined
      positives.delete(name)
      negatives.delete(name)
    },

    get size() {
      return positives.size + negatives.size
    },
  }
}
