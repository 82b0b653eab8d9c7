import type { Process } from './process.ts'
import type { World } from './world.ts'

/** How statements and pushes fare on their way. */
export interface Network {
  /** Runs `effect` at the database at some instant, unless it never gets there; answers what it gave, if that gets back. */
  statement<T>(process: Process, effect: () => T): Promise<T>
  losesPush(): boolean
  tripMs(): number
  /** What is set here goes wrong from now on; 0 is a quiet network. */
  readonly trouble: Trouble
  /** Nothing gets from this process to the database, or back, for so long. */
  cut(process: Process, ms: number): void
  /** Some of its answers come late, by not quite as much as it waits, for so long. */
  delayAnswers(process: Process, ms: number): void
  /** The database stands still: what reaches it takes effect later. */
  stall(ms: number): void
}

export interface Trouble {
  /** Each a probability, for one statement or one push. */
  slow: number
  fails: number
  unanswered: number
  pushLost: number
}

/** A statement that is not answered by then has failed for its caller; it may still take effect. */
export const statementTimeoutMs = 500

export function createNetwork(world: World): Network {
  const cutUntil = new Map<Process, number>()
  const lateUntil = new Map<Process, number>()
  let stalledUntil = 0
  const trouble: Trouble = { slow: 0, fails: 0, unanswered: 0, pushLost: 0 }

  const isCut = (process: Process) => world.now() < (cutUntil.get(process) ?? 0)

  function tripMs(): number {
    // Now and then longer than a caller waits.
    return world.chance(trouble.slow) ? world.between(5, 900) : world.between(0.1, 3)
  }

  function lateness(process: Process): number {
    const isLate = world.now() < (lateUntil.get(process) ?? 0)
    // Not every one: so they overtake each other.
    return isLate && world.chance(0.5) ? world.between(0.5, 0.95) * statementTimeoutMs : 0
  }

  function atTheDatabase(work: () => void) {
    if (world.now() >= stalledUntil) work()
    else world.after(stalledUntil - world.now() + world.between(0, 5), () => atTheDatabase(work))
  }

  return {
    trouble,
    tripMs,
    losesPush: () => world.chance(trouble.pushLost),
    statement(process, effect) {
      return new Promise((resolve, reject) => {
        const calledOff = process.later(statementTimeoutMs, () => reject(new Error('timed out')))
        if (isCut(process)) return
        if (world.chance(trouble.fails)) {
          world.after(tripMs(), () =>
            process.deliver(() => {
              calledOff()
              reject(new Error('connection lost'))
            }),
          )
          return
        }
        world.after(tripMs(), () =>
          atTheDatabase(() => {
            const settle = attempt(effect)
            if (isCut(process) || world.chance(trouble.unanswered)) return
            world.after(tripMs() + lateness(process), () =>
              process.deliver(() => {
                calledOff()
                settle(resolve, reject)
              }),
            )
          }),
        )
      })
    },
    cut(process, ms) {
      cutUntil.set(process, world.now() + ms)
    },
    delayAnswers(process, ms) {
      lateUntil.set(process, world.now() + ms)
    },
    stall(ms) {
      stalledUntil = Math.max(stalledUntil, world.now() + ms)
    },
  }
}

function attempt<T>(effect: () => T) {
  type Settle = (resolve: (value: T) => void, reject: (error: unknown) => void) => void
  try {
    const value = effect()
    const settle: Settle = (resolve) => resolve(value)
    return settle
  } catch (error) {
    const settle: Settle = (_resolve, reject) => reject(error)
    return settle
  }
}
