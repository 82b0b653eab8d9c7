import type { Clock } from './clock.ts'
import type { Log } from './log.ts'

/** One process that takes mail, as its supervision sees it. */
export interface WorkerProcess {
  readonly pid: number | undefined
  /** Settles when it takes mail; rejects when it never will. */
  readonly ready: Promise<void>
  /** Settles when it has ended, however that came. */
  readonly gone: Promise<void>
  /** Lets it finish what is in flight; resolves when it has ended. */
  finish(): Promise<void>
}

export interface WorkersDeps<W extends WorkerProcess> {
  readonly count: number
  readonly fork: () => W
  readonly pause: (ms: number) => Promise<unknown>
  readonly clock: Pick<Clock, 'monotonic'>
  readonly log: Log
}

/** A fixed number of places, and a process in each. */
export interface Workers<W extends WorkerProcess> {
  /** Resolves when each place has a worker that takes mail; rejects when one cannot be filled. */
  start(): Promise<void>
  /** Every process that has not ended, also those that start or finish. */
  alive(): W[]
  /** Those that hold a place. */
  current(): W[]
  /**
   * Replaces every worker, one after the other: each is there before the one that it replaces is told to finish. What
   * asks while one runs gets one that begins after it, since what it is to pick up may have changed meanwhile.
   */
  restart(): Promise<void>
  /** Lets all of them finish, and starts none any more. */
  close(): Promise<void>
}

/** A worker that dies sooner than this is replaced more slowly each time; one that lived longer, at once. */
const healthyAfterMs = 5_000
const firstPauseMs = 100
const longestPauseMs = 10_000

/** Keeps a number of workers running: it replaces those that die, and renews all of them when asked. */
export function createWorkers<W extends WorkerProcess>(deps: WorkersDeps<W>): Workers<W> {
  const { count, log } = deps
  const alive = new Set<W>()
  const places = Array.from({ length: count }, () =>
    createPlace({ ...deps, fork, isClosing: () => closing }),
  )
  let closing = false
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined

  function fork(): W {
    const worker = deps.fork()
    alive.add(worker)
    void worker.gone.then(() => alive.delete(worker))
    return worker
  }

  async function renewAll() {
    for (const place of places) {
      if (closing) return
      const { from, to } = await place.renew()
      log.info({ event: 'worker_renewed', from: from?.pid, to: to.pid })
      await from?.finish()
    }
  }

  function restart(): Promise<void> {
    if (running === undefined) {
      running = renewAll()
        .catch((error) => {
          // One that was to start was told to end.
          if (!closing) throw error
        })
        .finally(() => {
          running = undefined
        })
      return running
    }
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        return restart()
      })
    return next
  }

  return {
    async start() {
      await Promise.all(places.map((place) => place.fill()))
    },
    alive: () => [...alive],
    current: () => places.flatMap((place) => place.current() ?? []),
    restart,
    async close() {
      closing = true
      await Promise.all([...alive].map((worker) => worker.finish()))
    },
  }
}

interface PlaceDeps<W extends WorkerProcess> extends Omit<WorkersDeps<W>, 'count'> {
  readonly isClosing: () => boolean
}

/** Where one worker stands. Its death and its renewal may come together, and must not each bring a new one. */
function createPlace<W extends WorkerProcess>(deps: PlaceDeps<W>) {
  const { fork, pause, clock, log, isClosing } = deps
  let current: W | undefined
  let pauseMs = 0
  let turn: Promise<unknown> = Promise.resolve()

  function inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = turn.then(task)
    turn = done.catch(() => {})
    return done
  }

  async function start(): Promise<W> {
    const worker = fork()
    await worker.ready
    current = worker
    const since = clock.monotonic()
    void worker.gone.then(() => {
      if (current !== worker) return
      current = undefined
      void replace(clock.monotonic() - since)
    })
    return worker
  }

  async function replace(livedMs: number) {
    if (livedMs >= healthyAfterMs) pauseMs = 0
    while (!isClosing()) {
      if (pauseMs > 0) await pause(pauseMs)
      pauseMs = Math.min(Math.max(pauseMs * 2, firstPauseMs), longestPauseMs)
      try {
        await inTurn(fillAgain)
        return
      } catch (error) {
        if (!isClosing()) log.error({ event: 'worker_not_started', error: String(error) })
      }
    }
  }

  async function fillAgain() {
    if (current !== undefined || isClosing()) return
    const { pid } = await start()
    log.info({ event: 'worker_replaced', worker: pid })
  }

  return {
    current: () => current,
    fill: () => inTurn(start),
    /** Puts a new one beside the old one, and then in its place. */
    renew: () =>
      inTurn(async () => {
        const from = current
        const to = await start()
        return { from, to }
      }),
  }
}
