/**
 * The turns of the event loop. They are shared among all that send much: who has more to read waits in line for another one. And
 * something is done once for all that happens in one, when it is over.
 */
export interface Turns {
  /** Counts a piece that was read in this turn. False when the turn is full. */
  spend(bytes: number): boolean
  /** Calls back in a turn with room. First come, first served. */
  wait(goOn: () => void): void
  /** Calls back when this turn is over: all of them by one `setImmediate`. */
  atEnd(work: () => void): void
}

/** Read in one turn, by everybody together: fast clients' bytes arrive megabytes at a time. */
const turnBytes = 512 * 1024
/** What looking at a piece costs, however small it is. */
const pieceCost = 512

export function createTurns(): Turns {
  const waiting: (() => void)[] = []
  let ending: (() => void)[] = []
  let leftBytes = turnBytes
  let isScheduled = false

  function schedule() {
    if (isScheduled) return
    isScheduled = true
    setImmediate(beginTurn)
  }

  function beginTurn() {
    isScheduled = false
    leftBytes = turnBytes
    const ended = ending
    ending = []
    for (const work of ended) callAlone(work)
    // One alone, until the turn is full: to stop a stream and let it go on costs something each time.
    waiting.shift()?.()
    if (waiting.length > 0) schedule()
  }

  return {
    spend(bytes) {
      leftBytes -= bytes + pieceCost
      schedule()
      return leftBytes > 0
    },

    wait(goOn) {
      waiting.push(goOn)
      schedule()
    },

    atEnd(work) {
      ending.push(work)
      schedule()
    },
  }
}

/** What goes wrong in one must not keep the others from their end. */
function callAlone(work: () => void) {
  try {
    work()
  } catch (fault) {
    queueMicrotask(() => {
      throw fault
    })
  }
}

/** One for the process, and no dependency: gateways side by side share one event loop. */
export const turns = createTurns()
