/** Who is there just now, in no order. Who has entered twice is there twice. */
export interface Roster<T> {
  size(): number
  /** A copy: members may leave while they are looked at. */
  all(): T[]
  /** Answers how it leaves, where a second call does nothing. */
  enter(member: T): () => void
}

interface Place<T> {
  readonly member: T
  at: number
}

/**
 * For members that come and go. Of a `Set`, dead tables would keep most of them until the next full collection:
 * docs/decisions/0058-connections-are-in-a-roster-and-not-in-a-set.md.
 */
export function createRoster<T>(): Roster<T> {
  const places: Place<T>[] = []
  return {
    size: () => places.length,
    all: () => places.map(({ member }) => member),
    enter(member) {
      const place = { member, at: places.length }
      places.push(place)
      return function leave() {
        if (places[place.at] !== place) return
        const last = places.pop()
        if (last === undefined || last === place) return
        // Nobody else is moved.
        places[place.at] = last
        last.at = place.at
      }
    },
  }
}
