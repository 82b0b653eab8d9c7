/** Turns of the event loop, shared among all who send much: nobody waits long for the next one, however many they are. */
export interface Turns {
  /** Counts a piece that was read in this turn. False when it was enough: whoever has more goes on in another turn. */
  read(bytes: number): boolean
  /** Calls back in a turn with room. First come, first served. */
  wait(goOn: () => void): void
}

/** Of everybody together. A piece counts for what looking at it costs, however small. */
const turnBytes = 512 * 1024
const pieceCost = 512
/** A stream that goes on reads a piece of 64 KiB, and another one into its buffer, before it can be stopped again. */
const goOnAtOnce = turnBytes / (128 * 1024)

export function createTurns(): Turns {
  const waiting: (() => void)[] = []
  let left = turnBytes
  let isScheduled = false

  function schedule() {
    if (isScheduled) return
    isScheduled = true
    setImmediate(beginTurn)
  }

  function beginTurn() {
    isScheduled = false
    left = turnBytes
    for (const goOn of waiting.splice(0, goOnAtOnce)) goOn()
    if (waiting.length > 0) schedule()
  }

  return {
    read(bytes) {
      left -= bytes + pieceCost
      schedule()
      return left > 0
    },

    wait(goOn) {
      waiting.push(goOn)
      schedule()
    },
  }
}

/** Those of this process, which has one event loop. */
export const turns = createTurns()
