import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { FleetRegistry } from '../service/ports/fleet.ts'
import { patienceMs } from './lease.ts'

/** A log entry or tombstone that is gone costs a look-up or a "not found", and nothing else. */
const keepEntriesMs = 24 * 3_600_000
const keepTombstonesMs = 30 * 24 * 3_600_000

interface JanitorDeps {
  readonly registry: Pick<FleetRegistry, 'listNodes' | 'removeNode' | 'pruneLog'>
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly intervalMs: number
}

/** Removes what the fleet no longer needs: rows of nodes that are gone, and the old part of the revocation log. */
export function createJanitor({ registry, clock, log, intervalMs }: JanitorDeps) {
  /** When this process first saw each node with the renewal that it still has. */
  const seen = new Map<string, { readonly renewal: number; readonly at: number }>()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()

  /**
   * A node is gone when it was silent, by this process' own monotonic clock, for longer than it may decide. Whether it was
   * fenced does not matter: it can only come back under another name.
   */
  async function removeSilentNodes(): Promise<number> {
    const nodes = await registry.listNodes()
    const now = clock.monotonic()
    const present = new Set(nodes.map(({ incarnation }) => incarnation))
    for (const incarnation of seen.keys()) if (!present.has(incarnation)) seen.delete(incarnation)
    let removed = 0
    for (const { incarnation, renewal, holdMs } of nodes) {
      const before = seen.get(incarnation)
      if (before?.renewal !== renewal) {
        seen.set(incarnation, { renewal, at: now })
      } else if (now - before.at > patienceMs(holdMs)) {
        // Under the condition that it still has not renewed.
        await registry.removeNode({ incarnation, renewal })
        removed += 1
      }
    }
    return removed
  }

  async function clean(): Promise<{ removed: number }> {
    const removed = await removeSilentNodes()
    const now = clock.now()
    await registry.pruneLog({ entries: now - keepEntriesMs, tombstones: now - keepTombstonesMs })
    return { removed }
  }

  async function cleanAndLog() {
    try {
      const { removed } = await clean()
      if (removed > 0) log.info({ event: 'nodes_removed', removed })
    } catch (error) {
      // The next round tries again.
      log.warn({ event: 'janitor_failed', error: String(error) })
    }
  }

  return {
    clean,
    start() {
      timer = setInterval(() => {
        running = running.then(cleanAndLog)
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
