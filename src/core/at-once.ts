/** There at once where it can be: a promise costs more than most of what is asked for here. */
export type AtOnce<T> = T | Promise<T>

/** Goes on with what was asked for, in the same turn of the event loop if it is there. */
export function goOn<T, R>(asked: AtOnce<T>, conclude: (asked: T) => AtOnce<R>): AtOnce<R> {
  return asked instanceof Promise ? asked.then(conclude) : conclude(asked)
}

/** The same where asking can fail. What `conclude` throws is not what was asked for, and is thrown. */
export function settle<T, R>(
  ask: () => AtOnce<T>,
  conclude: (asked: T) => AtOnce<R>,
  fail: (fault: unknown) => AtOnce<R>,
): AtOnce<R> {
  let asked: AtOnce<T>
  try {
    asked = ask()
  } catch (fault) {
    return fail(fault)
  }
  return asked instanceof Promise ? asked.then(conclude, fail) : conclude(asked)
}
