import type { Clock } from '../../src/clock.ts'
import { clockDrift } from '../../src/fleet/lease.ts'
import type { World } from './world.ts'

/** A process on a machine of its own: what happens to it waits while it stands still, and is lost when it is dead. */
export interface Process {
  readonly clock: Clock & { readonly later: Later }
  readonly later: Later
  isAlive(): boolean
  /** Its clocks are not to be asked: the machine sleeps. */
  isAsleep(): boolean
  /** Something comes to it: an answer, a request, a signal. At once if it runs. */
  deliver(work: () => void): void
  /** SIGSTOP: the clocks go on. */
  stop(ms: number): void
  /** The machine sleeps: the monotonic clock stands still, the uptime goes on. */
  suspend(ms: number): void
  kill(): void
  setWallClock(byMs: number): void
}

export type Later = (ms: number, work: () => void) => () => void

const date = Date.UTC(2026, 10, 24, 12)

export function createProcess(world: World): Process {
  /** Of its monotonic clock, against true time. */
  const rate = 1 + world.between(-clockDrift, clockDrift)
  const startedAt = world.now()
  let alive = true
  let stillUntil = Number.NEGATIVE_INFINITY
  let wakesAt = Number.NEGATIVE_INFINITY
  let sleptMs = 0
  let wallOffset = world.between(-2_000, 2_000)
  let backlog: (() => void)[] = []

  const elapsed = () => world.now() - startedAt
  const isStill = () => world.now() < stillUntil || world.now() < wakesAt
  const asleepNow = () => Math.max(0, wakesAt - world.now())

  function goOn() {
    if (isStill() || !alive) return
    const waiting = backlog
    backlog = []
    // Timers and answers that came meanwhile run in any order.
    for (const work of waiting) world.after(world.between(0, 3), () => deliver(work))
  }

  function deliver(work: () => void) {
    if (!alive) return
    if (isStill()) backlog.push(work)
    else work()
  }

  function later(ms: number, work: () => void): () => void {
    let cancelled = false
    world.after(ms / rate, () => {
      deliver(() => {
        if (!cancelled) work()
      })
    })
    return () => {
      cancelled = true
    }
  }

  return {
    clock: {
      now: () => date + world.now() + wallOffset,
      monotonic: () => 1_000 + (elapsed() - sleptMs + asleepNow()) * rate,
      uptime: () => 5_000 + elapsed() * rate,
      later,
    },
    later,
    isAlive: () => alive,
    isAsleep: () => asleepNow() > 0,
    deliver,
    stop(ms) {
      stillUntil = Math.max(stillUntil, world.now() + ms)
      world.after(ms, goOn)
    },
    suspend(ms) {
      if (asleepNow() > 0) return
      wakesAt = world.now() + ms
      sleptMs += ms
      world.after(ms, goOn)
    },
    kill() {
      alive = false
      backlog = []
    },
    setWallClock(byMs) {
      wallOffset += byMs
    },
  }
}
