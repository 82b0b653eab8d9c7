/**
 * The schedule of an open-loop load: when each unit is to begin, whatever became of the ones before it. Latency is counted
 * from there, so that a subject that stalls is charged for everybody who would have come meanwhile (coordinated omission).
 */
export interface Pace {
  /** When the next unit should have begun, if that is due at `now`; it is then taken. Milliseconds. */
  takeDue(now: number): number | undefined
  /** Milliseconds until the next one is due. */
  untilNext(now: number): number
  /** Whether all units have begun. */
  isOver(): boolean
}

export function createPace({
  startsAt,
  perSecond,
  forMs,
}: {
  readonly startsAt: number
  readonly perSecond: number
  readonly forMs: number
}): Pace {
  const total = Math.floor((perSecond * forMs) / 1_000)
  let taken = 0
  const next = () => startsAt + (taken * 1_000) / perSecond
  return {
    takeDue(now) {
      const intended = next()
      if (taken >= total || now < intended) return undefined
      taken += 1
      return intended
    },
    untilNext: (now) => Math.max(0, next() - now),
    isOver: () => taken >= total,
  }
}

/** A timer fires up to two milliseconds late, which would be charged to the subject: the last of the wait is spent awake. */
const awakeMs = 2.5

/**
 * Calls `turn` again about when the next unit is due, and a little before. To be awake takes a core, and two
 * loaders that are leave none for the subject: one whose latency nobody reads need not be punctual.
 */
export function rest(pace: Pace, turn: () => void, isPunctual = true) {
  const wait = pace.isOver() ? awakeMs : pace.untilNext(performance.now())
  if (!isPunctual) setTimeout(turn, wait)
  else if (wait < awakeMs) setImmediate(turn)
  else setTimeout(turn, wait - awakeMs)
}
