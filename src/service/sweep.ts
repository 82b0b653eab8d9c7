import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { Registry } from './ports/registry.ts'

/** Short transactions, so that a running gate never waits long for the store. */
const batchSize = 500

interface SweeperDeps {
  readonly registry: Pick<Registry, 'sweepExpired'>
  readonly clock: Pick<Clock, 'now'>
  readonly log: Log
  readonly intervalMs: number
}

/** Removes ended tokens. Their end itself does not wait for it: that is compared at each use. */
export function createSweeper({ registry, clock, log, intervalMs }: SweeperDeps) {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()

  /** Removes every token that has ended by now; answers how many. */
  async function sweep(): Promise<number> {
    const at = clock.now()
    let removed = 0
    for (;;) {
      const batch = await registry.sweepExpired({ endedBefore: at, at, limit: batchSize })
      removed += batch
      if (batch < batchSize) return removed
    }
  }

  async function sweepAndLog() {
    try {
      const removed = await sweep()
      if (removed > 0) log.info({ event: 'sweep', removed })
    } catch (error) {
      // The next round tries again; a token that has ended is refused whether its row is there or not.
      log.warn({ event: 'sweep_failed', error: String(error) })
    }
  }

  return {
    sweep,
    start() {
      running = sweepAndLog()
      timer = setInterval(() => {
        running = running.then(sweepAndLog)
      }, intervalMs)
      timer.unref()
    },
    /** Ends after the round that is under way. */
    async stop() {
      clearInterval(timer)
      await running
    },
  }
}
