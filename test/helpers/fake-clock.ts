import type { Clock } from '../../src/clock.ts'

/** A clock that stands still until it is told to move. Starts at a real date. */
export function createFakeClock(start = Date.UTC(2026, 10, 24, 12)): Clock & {
  advance(ms: number): void
} {
  let now = start
  return {
    now: () => now,
    monotonic: () => now - start,
    uptime: () => now - start,
    advance(ms) {
      now += ms
    },
  }
}
