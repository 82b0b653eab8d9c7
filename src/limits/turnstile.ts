import type { MaybePromise } from '../core/maybe-promise.ts'
import type { Turnstile } from '../service/ports/limits.ts'

export interface TurnstileOptions {
  readonly atOnce: number
  readonly maxWaiting: number
  /** A place stays empty for so long after each: so that there are no more than so many in a second, however quick they are. */
  readonly restMs: number
}

export function createTurnstile({ atOnce, maxWaiting, restMs }: TurnstileOptions): Turnstile {
  const waiting: (() => void)[] = []
  let inside = 0

  async function enter<T>(work: () => MaybePromise<T>): Promise<T> {
    if (inside >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve))
    else inside += 1
    try {
      return await work()
    } finally {
      setTimeout(free, restMs)
    }
  }

  /** The place goes to the next in line, if there is one. */
  function free() {
    const next = waiting.shift()
    if (next === undefined) inside -= 1
    else next()
  }

  return {
    pass: (work) => (inside >= atOnce && waiting.length >= maxWaiting ? undefined : enter(work)),
  }
}
