import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Config } from './config.ts'
import type { System } from './control-plane.ts'
import { startControlPlaneServer } from './control-plane-server.ts'
import type { DataPlaneAddresses } from './data-plane.ts'
import type { Log } from './log.ts'
import { createMetrics, type MetricsSnapshot, renderTogether } from './metrics.ts'
import type { FromWorker, ToWorker } from './worker-messages.ts'

export interface Primary {
  readonly addresses: DataPlaneAddresses & { readonly admin: string }
  /** Process ids of the workers that take mail now. */
  pids(): number[]
  /** Replaces every worker, one after the other: each is there before the one that it replaces is told to finish. */
  restart(): Promise<void>
  /** Lets all workers finish what is in flight, then ends. */
  close(): Promise<void>
}

/** A worker that dies sooner than this after its start is replaced more slowly each time. */
const healthyAfterMs = 5_000
const firstPauseMs = 100
const longestPauseMs = 10_000
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
  const workers = new Map<number, RunningWorker>()
  let requests = 0
  let pauseMs = firstPauseMs
  let closing = false

  const server = await startControlPlaneServer(config, {
    ...system,
    metrics: {
      changed: metrics.changed,
      render: async () =>
        renderTogether([
          await metrics.snapshot(),
          ...(await reports()).map((report) => report.metrics),
        ]),
    },
    trouble: async () => {
      const troubles = (await reports()).map(({ trouble }) => trouble)
      return troubles.includes(null) ? undefined : (troubles[0] ?? 'no worker answers')
    },
  })
  const { store } = server.controlPlane

  /** Starts a worker; resolves when it listens. */
  async function start(): Promise<RunningWorker> {
    const worker = cluster.fork({
      // Its assertions name the listener that publishes the keys.
      POSTERN_PUBLIC_ADMIN_URL: config.publicAdminUrl ?? server.url,
    })
    const running: RunningWorker = { worker, incarnation: undefined, finishing: false }
    const startedAt = clock.monotonic()
    workers.set(worker.id, running)
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'node') running.incarnation = message.incarnation
      if (message.type === 'closed') send(worker, { type: 'leave' })
    })
    worker.once('exit', (code, signal) => {
      workers.delete(worker.id)
      if (running.finishing) return
      log.error({ event: 'worker_died', worker: worker.process.pid, code, signal })
      forget(running)
      if (running.listens === true) void replace(clock.monotonic() - startedAt)
    })
    running.addresses = await listening(worker)
    running.listens = true
    return running
  }

  /** What is dead decides nothing: no change has to wait for its lease. */
  function forget({ incarnation }: RunningWorker) {
    if (incarnation === undefined) return
    store.removeNode({ incarnation }).catch((error) => {
      log.warn({ event: 'node_not_removed', node: incarnation, error: String(error) })
    })
  }

  async function replace(livedMs: number) {
    pauseMs = livedMs > healthyAfterMs ? firstPauseMs : Math.min(pauseMs * 2, longestPauseMs)
    while (!closing) {
      await delay(pauseMs)
      if (closing) return
      try {
        const { worker } = await start()
        log.info({ event: 'worker_replaced', worker: worker.process.pid })
        return
      } catch (error) {
        pauseMs = Math.min(pauseMs * 2, longestPauseMs)
        log.error({ event: 'worker_not_started', error: String(error) })
      }
    }
  }

  async function finish(running: RunningWorker) {
    const { worker } = running
    running.finishing = true
    if (worker.isDead()) return
    const gone = once(worker, 'exit')
    if (worker.isConnected()) send(worker, { type: 'finish' })
    const timer = setTimeout(
      () => worker.process.kill('SIGKILL'),
      config.shutdownTimeoutMs + finishMarginMs,
    )
    await gone
    clearTimeout(timer)
  }

  /** Every worker that answers in time. */
  async function reports() {
    const request = ++requests
    const asked = [...workers.values()].filter(({ listens }) => listens)
    const answers = await Promise.all(asked.map(({ worker }) => report(worker, request)))
    return answers.filter((answer) => answer !== undefined)
  }

  async function restart() {
    for (const old of [...workers.values()]) {
      if (closing || old.finishing) continue
      const { worker } = await start()
      await finish(old)
      log.info({ event: 'worker_renewed', from: old.worker.process.pid, to: worker.process.pid })
    }
  }

  async function close() {
    closing = true
    await Promise.all([...workers.values()].map(finish))
    await server.close()
  }

  try {
    const started = await Promise.all(Array.from({ length: config.workers }, start))
    const [first] = started
    if (first?.addresses === undefined) throw new Error('no worker listens')
    return {
      addresses: { ...first.addresses, admin: server.url },
      pids: () => [...workers.values()].flatMap(({ worker }) => worker.process.pid ?? []),
      restart,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface RunningWorker {
  readonly worker: Worker
  /** Its name as a node of the fleet. */
  incarnation: string | undefined
  addresses?: DataPlaneAddresses
  listens?: boolean
  /** It was told to end: that it does is no trouble. */
  finishing: boolean
}

/** Rejects with what the worker says of its failure. */
function listening(worker: Worker): Promise<DataPlaneAddresses> {
  return new Promise((resolve, reject) => {
    let reason = 'it said nothing'
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'ready') resolve(message.addresses)
      if (message.type === 'failed') reason = message.reason
    })
    worker.once('exit', () => reject(new Error(`a worker did not start: ${reason}`)))
  })
}

function report(worker: Worker, request: number) {
  type Report = { readonly metrics: MetricsSnapshot; readonly trouble: string | null }
  return new Promise<Report | undefined>((resolve) => {
    const timer = setTimeout(() => settle(undefined), reportTimeoutMs)
    function hear(message: FromWorker) {
      if (message.type === 'report' && message.request === request) settle(message)
    }
    function settle(answer: Report | undefined) {
      clearTimeout(timer)
      worker.off('message', hear)
      resolve(answer)
    }
    worker.on('message', hear)
    if (worker.isConnected()) send(worker, { type: 'report', request })
    else settle(undefined)
  })
}

function send(worker: Worker, message: ToWorker) {
  // A worker that dies meanwhile is seen to exit.
  worker.send(message, () => {})
}
