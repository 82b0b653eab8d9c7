import { monitorEventLoopDelay } from 'node:perf_hooks'

/** A turn that waits for this timer is not a pause. */
const resolutionMs = 1

/** Watches from the first call on, which costs a little. Each answers the event loop's longest pause since the one before. */
export function createPauseWatch(): () => number {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs })
  return function takeWorstMs() {
    const worst = delays.count === 0 ? 0 : delays.max / 1e6 - resolutionMs
    delays.enable()
    delays.reset()
    return Math.max(0, worst)
  }
}
