import cluster from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from './config.ts'
import type { System } from './control-plane.ts'
import { startControlPlaneServer } from './control-plane-server.ts'
import type { DataPlaneAddresses } from './data-plane.ts'
import type { Log } from './log.ts'
import { addCounts, createMetrics, type MetricsSnapshot, renderTogether } from './metrics.ts'
import { type Report, type RunningWorker, superviseWorker } from './worker-process.ts'
import { createWorkers } from './workers.ts'

export interface Primary {
  readonly addresses: DataPlaneAddresses & { readonly admin: string }
  /** Process ids of the workers that take mail now. */
  pids(): number[]
  /** Replaces every worker, one after the other: each is there before the one that it replaces is told to finish. */
  restart(): Promise<void>
  /** Lets all workers finish what is in flight, then ends. */
  close(): Promise<void>
}

/** A worker that does not report in time is left out of what is shown. */
const reportTimeoutMs = 2_000
/** Beyond what a worker gives its own connections. */
const finishMarginMs = 2_000

/** The process of `serve --workers N` that takes no mail: it holds the control plane, and keeps N workers running. */
export async function startPrimary(
  config: Config,
  system: System & { readonly log: Log },
): Promise<Primary> {
  const { log, clock } = system
  const metrics = createMetrics()
  // JSON has no infinity, which is what is left of a lease that was dropped.
  cluster.setupPrimary({ serialization: 'advanced' })
  /** What workers counted that are gone: a sum that shrank would look to Prometheus like a restart. */
  let past: Promise<MetricsSnapshot> = Promise.resolve([])

  const workers = createWorkers({
    count: config.workers,
    fork,
    // What waits to start a worker must not keep a process that ends.
    pause: (ms) => delay(ms, undefined, { ref: false }),
    clock,
    log,
  })

  const server = await startControlPlaneServer(config, {
    ...system,
    metrics: { ...metrics, render },
    trouble: () => troubleOf(workers.current().map((worker) => worker.report(reportTimeoutMs))),
  })
  const { store } = server.controlPlane

  function fork(): RunningWorker {
    const running = superviseWorker(
      // Its assertions name the listener that publishes the keys.
      cluster.fork({ POSTERN_PUBLIC_ADMIN_URL: config.publicAdminUrl ?? server.url }),
      { finishTimeoutMs: config.shutdownTimeoutMs + finishMarginMs },
    )
    void running.gone.then(() => {
      const { pid, incarnation } = running
      past = addCounts([past, running.counts()])
      forget(incarnation())
      if (running.finishing()) return
      log.error({ event: 'worker_died', worker: pid, reason: running.whyGone() })
    })
    return running
  }

  /** What is dead decides nothing: no change has to wait for its lease. */
  function forget(incarnation: string | undefined) {
    if (incarnation === undefined) return
    store.removeNode({ incarnation }).catch((error) => {
      log.warn({ event: 'node_not_removed', node: incarnation, error: String(error) })
    })
  }

  /** One that does not answer has still counted what it last said. */
  async function render() {
    const before = past
    const parts = workers.alive().map(async (worker) => {
      const report = await worker.report(reportTimeoutMs)
      return report?.metrics ?? worker.counts()
    })
    return renderTogether([await metrics.snapshot(), await before, ...(await Promise.all(parts))])
  }

  async function close() {
    await workers.close()
    await server.close()
  }

  try {
    await workers.start()
    const [first] = workers.current()
    if (first === undefined) throw new Error('no worker listens')
    return {
      addresses: { ...(await first.addresses), admin: server.url },
      pids: () => workers.current().flatMap(({ pid }) => pid ?? []),
      restart: workers.restart,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** Undefined as soon as one worker says that it can decide: a probe does not wait for those that hang. */
export async function troubleOf(
  reports: readonly Promise<Pick<Report, 'trouble'> | undefined>[],
): Promise<string | undefined> {
  const found: string[] = []
  const able = reports.map(async (asked) => {
    const report = await asked
    if (report?.trouble === null) return
    if (report !== undefined) found.push(report.trouble)
    throw new Error('not this one')
  })
  try {
    await Promise.any(able)
    return undefined
  } catch {
    return found[0] ?? 'no worker answers'
  }
}
