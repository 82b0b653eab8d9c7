/** How long others waited for their turn in an event loop, at most. */
export interface WorstPauses {
  /** By the clock, whatever else the machine did meanwhile. */
  readonly elapsedMs: number
  /** By what the loop's own thread worked: the program's share, which others on the machine do not change. */
  readonly workedMs: number
}

/** A turn that waits for this timer is not a pause; turns shorter than this are looked at together. */
const resolutionMs = 1

/** Watches from the first call on, which costs a little. Each answers the worst since the one before. */
export function createPauseWatch(): () => WorstPauses {
  let worst: WorstPauses = { elapsedMs: 0, workedMs: 0 }
  let last: ReturnType<typeof readClocks> | undefined

  function look() {
    const now = readClocks()
    const previous = last ?? now
    const elapsedMs = now.elapsedMs - previous.elapsedMs
    // The kernel may charge time in ticks of some milliseconds: one that ends in a short turn would count for more than that lasted.
    const workedMs = Math.min(now.workedMs - previous.workedMs, elapsedMs)
    worst = {
      elapsedMs: Math.max(worst.elapsedMs, elapsedMs - resolutionMs),
      workedMs: Math.max(worst.workedMs, workedMs),
    }
    last = now
  }
  return function takeWorst() {
    if (last === undefined) setInterval(look, resolutionMs).unref()
    look()
    const taken = worst
    worst = { elapsedMs: 0, workedMs: 0 }
    return taken
  }
}

function readClocks() {
  const { user, system } = process.threadCpuUsage()
  return { elapsedMs: performance.now(), workedMs: (user + system) / 1_000 }
}
