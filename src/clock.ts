import { uptime } from 'node:os'
// The global of this name is an accessor, which is asked anew at each use.
import { performance } from 'node:perf_hooks'

/** The clocks a process has. The system ones are made here; everything else is handed one. */
export interface Clock {
  /** Wall-clock instant, milliseconds since the Unix epoch. */
  now(): number
  /** Monotonic milliseconds, only good for measuring durations. Stands still while the machine is suspended. */
  monotonic(): number
  /** Milliseconds since the machine was started, also those for which it was suspended. */
  uptime(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  uptime: () => uptime() * 1000,
}
