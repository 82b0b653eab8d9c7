import type { Clock } from '../clock.ts'

/** Both clocks, the node's and that of whoever waits for it, may be this much too fast or too slow. */
export const clockDrift = 0.01
/** Over a hold with its drift: for what passes between a process' reading of its clock and its act. */
const marginMs = 250

/** So long after it was last heard of a node can decide nothing any more, by anybody's clock. */
export function patienceMs(holdMs: number): number {
  return holdMs * (1 + 2 * clockDrift) + marginMs
}

/** For rounding, and for what passes between two readings of a clock. */
const slackMs = 10
/** A wall clock that moved this much against the monotonic one: it was set, or the machine was asleep. */
const suspicionMs = 100
/** A machine that is busy may set the process aside between two readings: they are of one instant when no more lies between. */
const instantMs = 10
const maxReadings = 5
/** The wall clock may have been set by just what the machine slept: its word alone is good for no longer than this. */
const uptimeEveryMs = 10

/**
 * The right to decide, judged inside each decision on the monotonic clock: a timer that is to end it could run after
 * decisions that had queued up while the process was stopped.
 */
export interface Lease {
  holds(): boolean
  /** It was asked for at `askedAt` (monotonic): it counts from there, since the answer may have taken long. */
  renew(askedAt: number): void
  /** Gives it up until the next renewal. */
  drop(): void
  /** Gives it up for good. */
  end(): void
  /** Milliseconds that are left; negative when it is over. */
  left(): number
}

export function createLease(
  clock: Pick<Clock, 'now' | 'monotonic' | 'uptime'>,
  holdMs: number,
): Lease {
  const usableMs = holdMs * (1 - 2 * clockDrift) - slackMs
  let deadline = Number.NEGATIVE_INFINITY
  /** What was asked for up to this instant counts no more. */
  let notBefore = Number.NEGATIVE_INFINITY
  /** Wall clock and uptime, each less the monotonic clock: constant while nothing odd happens. */
  let wallOffset = clock.now() - clock.monotonic()
  let uptimeOffset = readUptimeOffset() ?? Number.NEGATIVE_INFINITY
  let uptimeAskedAt = clock.monotonic()

  /** Undefined when the process was set aside each time: such a reading would hide as long a sleep from the next ones. */
  function readUptimeOffset(): number | undefined {
    for (let reading = 0; reading < maxReadings; reading++) {
      const before = clock.monotonic()
      const offset = clock.uptime() - before
      if (clock.monotonic() - before <= instantMs) return offset
    }
    return undefined
  }

  /** The monotonic clock stands still while the machine sleeps; the uptime does not. It is the slower one to ask. */
  function wasSuspended(now: number): boolean {
    const offset = clock.now() - now
    const isSuspicious = Math.abs(offset - wallOffset) > suspicionMs
    if (!isSuspicious && now < uptimeAskedAt + uptimeEveryMs) return false
    wallOffset = offset
    uptimeAskedAt = now
    const uptimeRead = readUptimeOffset()
    // Whoever cannot tell is careful.
    if (uptimeRead === undefined) return true
    if (uptimeRead - uptimeOffset <= suspicionMs) return false
    uptimeOffset = uptimeRead
    return true
  }

  function drop(until: number) {
    deadline = Number.NEGATIVE_INFINITY
    notBefore = until
  }

  return {
    holds() {
      const now = clock.monotonic()
      if (now >= deadline) return false
      if (wasSuspended(now)) {
        drop(now)
        return false
      }
      // A machine that is busy may have taken the rest of it while the uptime was read.
      return uptimeAskedAt < now || clock.monotonic() < deadline
    },
    renew(askedAt) {
      const now = clock.monotonic()
      // A renewal always asks: there are few of them.
      uptimeAskedAt = Number.NEGATIVE_INFINITY
      // What was on its way while the machine slept was asked for longer ago than this clock says.
      if (wasSuspended(now)) drop(now)
      if (askedAt > notBefore) deadline = Math.max(deadline, askedAt + usableMs)
    },
    drop: () => drop(clock.monotonic()),
    end: () => drop(Number.POSITIVE_INFINITY),
    left: () => deadline - clock.monotonic(),
  }
}
