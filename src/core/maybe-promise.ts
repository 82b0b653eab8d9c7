/** A value, or a promise of it. What is in memory is there at once: a promise would cost more than most of such answers. */
export type MaybePromise<T> = T | Promise<T>

/** `then` for both, in the same turn of the event loop where the value is there. Faults pass through. */
export function andThen<T, R>(
  asked: MaybePromise<T>,
  conclude: (value: T) => MaybePromise<R>,
): MaybePromise<R> {
  return isPromise(asked) ? asked.then(conclude) : conclude(asked)
}

/** The same, with faults answered: `fail` gets what `ask` throws or rejects with, and nothing that `conclude` throws. */
export function settle<T, R>(
  ask: () => MaybePromise<T>,
  conclude: (value: T) => MaybePromise<R>,
  fail: (fault: unknown) => MaybePromise<R>,
): MaybePromise<R> {
  let asked: MaybePromise<T>
  try {
    asked = ask()
  } catch (fault) {
    return fail(fault)
  }
  return isPromise(asked) ? asked.then(conclude, fail) : conclude(asked)
}

/**
 * Of any library: a promise taken for its value would be a decision. `then` is read, since `in` takes several times as long for
 * objects of many shapes.
 */
export function isPromise<T>(asked: MaybePromise<T>): asked is Promise<T> {
  return typeof asked === 'object' && (asked as Partial<Promise<T>> | null)?.then !== undefined
}
