import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Loaded into a subject before its program, to tell how long its event loop stood still. */

/** A turn that waits for this timer is not a pause. */
const resolutionMs = 1

const delays = monitorEventLoopDelay({ resolution: resolutionMs })
delays.enable()

process.on('message', ({ id, name }: { readonly id: number; readonly name: string }) => {
  if (name !== 'takeWorstPauseMs') return
  const worst = delays.count === 0 ? 0 : delays.max / 1e6 - resolutionMs
  delays.reset()
  process.send?.({ id, value: Math.max(0, worst) })
})
// The program ends when it wants to.
process.channel?.unref()
