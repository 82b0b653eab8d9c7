import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import type { FleetRegistry, NodeRow } from '../service/ports/fleet.ts'
import type { Confirm, Receipt } from '../service/ports/registry.ts'
import { patienceMs } from './lease.ts'

export interface ConfirmationDeps {
  readonly registry: Pick<FleetRegistry, 'readNodes' | 'readAcknowledgements' | 'fenceNode'>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly log: Pick<Log, 'warn'>
  /** Tells the other nodes that the log has grown, by the fastest way there is; it need not arrive. */
  readonly announce: () => void
  /** The hold of this program's own settings: nodes of a lost era may have held leases that no row tells of. */
  readonly holdMs: number
  /** Tests wait for a clock of their own. */
  readonly wait?: (ms: number) => Promise<unknown>
}

/** A change that is not confirmed so long after the longest hold is answered as pending. */
const graceForAnswersMs = 2_000
/** Acknowledgements come within milliseconds of the push; what has not come by then waits for a lease. */
const firstPauseMs = 2
const longestPauseMs = 100

export interface Confirmation {
  readonly confirm: Confirm
  /** What nobody waits for in an answer: before the store is closed it should be over. */
  settled(): Promise<unknown>
}

export function createConfirmation(deps: ConfirmationDeps): Confirmation {
  const { registry, clock, log, announce, holdMs, wait = delay } = deps

  const fencing = new Set<Promise<void>>()

  /** The set of nodes is read once, after the commit: who comes later has read the log after its lease was committed. */
  async function readNodes(epoch: number) {
    const reading = await registry.readNodes()
    return reading.moment.epoch >= epoch ? reading : undefined
  }

  async function confirm(epoch: number): Promise<Receipt> {
    const startedAt = clock.monotonic()
    announce()
    const ms = () => Math.round((clock.monotonic() - startedAt) * 10) / 10
    let reading: Awaited<ReturnType<typeof readNodes>>
    try {
      reading = await readNodes(epoch)
    } catch (error) {
      log.warn({ event: 'confirmation_failed', epoch, error: String(error) })
    }
    if (reading === undefined) {
      return { epoch, propagation: 'pending', confirmed: 0, fenced: 0, waitingFor: [], ms: ms() }
    }

    const readAt = clock.monotonic()
    const longestHoldMs = Math.max(holdMs, ...reading.nodes.map((node) => node.holdMs))
    const giveUpAt = readAt + patienceMs(longestHoldMs) + graceForAnswersMs
    const eraOverAt = readAt + patienceMs(longestHoldMs) - reading.eraAgeMs
    const silent = new Map(reading.nodes.map((node) => [node.incarnation, node]))
    const waitedOut: NodeRow[] = []
    let confirmed = 0

    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      await hear(epoch)
      const now = clock.monotonic()
      for (const [incarnation, node] of silent) {
        if (now <= readAt + patienceMs(node.holdMs)) continue
        waitedOut.push(node)
        silent.delete(incarnation)
      }
      if (silent.size === 0 && now >= eraOverAt) break
      if (now > giveUpAt) break
      await wait(pauseMs)
    }
    for (const node of waitedOut) shutOut(node)
    return {
      epoch,
      propagation: silent.size === 0 && clock.monotonic() >= eraOverAt ? 'confirmed' : 'pending',
      confirmed,
      fenced: waitedOut.length,
      waitingFor: [...silent.keys()],
      ms: ms(),
    }

    async function hear(wanted: number) {
      if (silent.size === 0) return
      let applied: ReadonlyMap<string, number>
      try {
        applied = await registry.readAcknowledgements([...silent.keys()])
      } catch (error) {
        // Time alone is enough in the end.
        log.warn({ event: 'confirmation_failed', epoch: wanted, error: String(error) })
        return
      }
      for (const incarnation of [...silent.keys()]) {
        const through = applied.get(incarnation)
        // A row that is gone was given up by its node, after its lease.
        if (through !== undefined && through < wanted) continue
        if (through !== undefined) confirmed += 1
        silent.delete(incarnation)
      }
    }
  }

  /** No answer waits for this: it only spares the next change the same wait. */
  function shutOut(node: NodeRow) {
    const done = registry
      .fenceNode(node)
      .catch((error) => {
        log.warn({ event: 'fencing_failed', node: node.incarnation, error: String(error) })
      })
      .finally(() => fencing.delete(done))
    fencing.add(done)
  }

  return { confirm, settled: () => Promise.all(fencing) }
}
