/** The two clocks a process has. The system ones are made in `gateway.ts`; everything else is handed one. */
export interface Clock {
  /** Wall-clock instant, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds, only good for measuring durations. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
