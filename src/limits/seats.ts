import type { Seats } from '../service/ports/limits.ts'

interface SeatOptions {
  /** What makes several keys one. */
  readonly keyOf?: (key: string) => string
  readonly onFull?: () => void
}

/** `max` for each key. */
export function createSeats(
  max: number,
  { keyOf = (key) => key, onFull = () => {} }: SeatOptions = {},
): Seats {
  const taken = new Map<string, number>()
  return {
    take(name) {
      const key = keyOf(name)
      const others = taken.get(key) ?? 0
      if (others >= max) {
        onFull()
        return undefined
      }
      taken.set(key, others + 1)
      let isTaken = true
      return function leave() {
        if (!isTaken) return
        isTaken = false
        const left = (taken.get(key) ?? 1) - 1
        if (left === 0) taken.delete(key)
        else taken.set(key, left)
      }
    },
  }
}
