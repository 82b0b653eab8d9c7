import type { Worker } from 'node:cluster'
import type { DataPlaneAddresses } from './data-plane.ts'
import { countsOf, type MetricsSnapshot } from './metrics.ts'
import type { FromWorker, ToWorker } from './worker-messages.ts'
import type { WorkerProcess } from './workers.ts'

/** Every wait of a start has a shorter limit of its own: what takes longer hangs. */
const startTimeoutMs = 60_000

/** What the primary knows of a worker, and can ask of it. */
export interface RunningWorker extends WorkerProcess {
  readonly addresses: Promise<DataPlaneAddresses>
  /** Its name as a node of the fleet. */
  incarnation(): string | undefined
  /** It was told to end: that it does is no trouble. */
  finishing(): boolean
  whyGone(): string
  /** What it had counted when it last said so. */
  counts(): MetricsSnapshot
  /** Undefined when it does not answer in time. */
  report(timeoutMs: number): Promise<Report | undefined>
}

export type Report = Extract<FromWorker, { type: 'report' }>

/** The messages and the end of one process, as its supervision wants them. */
export function superviseWorker(
  worker: Worker,
  { finishTimeoutMs }: { readonly finishTimeoutMs: number },
): RunningWorker {
  const ready = Promise.withResolvers<DataPlaneAddresses>()
  const gone = Promise.withResolvers<void>()
  const waiting = new Map<number, (report: Report | undefined) => void>()
  let incarnation: string | undefined
  let counts: MetricsSnapshot = []
  let requests = 0
  let finishing = false
  let reason = ''

  worker.on('message', (message: FromWorker) => {
    switch (message.type) {
      case 'node':
        incarnation = message.incarnation
        return
      case 'ready':
        return ready.resolve(message.addresses)
      case 'failed':
        reason = message.reason
        return
      case 'closed':
        counts = countsOf(message.metrics)
        // It has given up its membership itself.
        incarnation = undefined
        return send(worker, { type: 'leave' })
      case 'report':
        counts = countsOf(message.metrics)
        return waiting.get(message.request)?.(message)
    }
  })
  worker.on('error', (error) => {
    // A process that could not be made never exits.
    if (worker.process.pid === undefined) end(error.message)
  })
  worker.once('exit', (code, signal) => end(reason || (signal ?? `exit status ${code}`)))

  const hanging = setTimeout(() => {
    reason = 'it did not listen in time'
    worker.process.kill('SIGKILL')
  }, startTimeoutMs)
  ready.promise.catch(() => {}).finally(() => clearTimeout(hanging))

  function end(why: string) {
    reason = why
    ready.reject(new Error(`a worker did not start: ${why}`))
    gone.resolve()
    for (const settle of waiting.values()) settle(undefined)
  }

  return {
    pid: worker.process.pid,
    addresses: ready.promise,
    ready: ready.promise.then(() => {}),
    gone: gone.promise,
    incarnation: () => incarnation,
    finishing: () => finishing,
    whyGone: () => reason,
    counts: () => counts,
    report(timeoutMs) {
      if (!worker.isConnected()) return Promise.resolve(undefined)
      const request = ++requests
      return new Promise((resolve) => {
        const timer = setTimeout(() => settle(undefined), timeoutMs)
        function settle(report: Report | undefined) {
          clearTimeout(timer)
          waiting.delete(request)
          resolve(report)
        }
        waiting.set(request, settle)
        send(worker, { type: 'report', request })
      })
    },
    async finish() {
      finishing = true
      if (worker.isDead()) return
      if (worker.isConnected()) send(worker, { type: 'finish' })
      const timer = setTimeout(() => worker.process.kill('SIGKILL'), finishTimeoutMs)
      await gone.promise
      clearTimeout(timer)
    },
  }
}

function send(worker: Worker, message: ToWorker) {
  // A worker that dies meanwhile is seen to exit.
  worker.send(message, () => {})
}
