/** Memory for large bodies, which is used again. */
export interface Pieces {
  /** At least so many bytes, with anything in them. */
  take(bytes: number): Buffer
  /** Takes back what nobody reads or writes any more, or a part of it that begins where it began. Others are left alone. */
  giveBack(taken: readonly Buffer[]): void
}

/** Smaller ones cost nothing that is worth to be kept. */
const smallestKept = 64 * 1024
/** What was not needed for so long goes, within as long again. */
const unneededMs = 7_500

/** Those of one size. */
interface Shelf {
  readonly spare: Buffer[]
  /** The fewest that lay here since the last sweep. */
  unneeded: number
}

/**
 * To V8 memory that is allocated for each body anew is a heap that grows: it marks all of its heap again for every few of them, which
 * is a third of what they cost, and stops everybody for some milliseconds each time. Never more than were in use at once a moment ago.
 */
export function createPieces(): Pieces {
  const shelves = new Map<number, Shelf>()
  /** By the memory behind it. What is not given back is the garbage collector's. */
  const lent = new WeakMap<ArrayBufferLike, Buffer>()
  let sweeping: NodeJS.Timeout | undefined

  function shelfOf(size: number): Shelf {
    const known = shelves.get(size)
    if (known !== undefined) return known
    const shelf = { spare: [], unneeded: 0 }
    shelves.set(size, shelf)
    return shelf
  }

  function sweep() {
    let left = 0
    for (const shelf of shelves.values()) {
      shelf.spare.splice(0, shelf.unneeded)
      shelf.unneeded = shelf.spare.length
      left += shelf.spare.length
    }
    if (left > 0) return
    clearInterval(sweeping)
    sweeping = undefined
  }

  return {
    take(bytes) {
      if (bytes < smallestKept) return Buffer.allocUnsafeSlow(bytes)
      const shelf = shelfOf(nextPowerOfTwo(bytes))
      const piece = shelf.spare.pop() ?? Buffer.allocUnsafeSlow(nextPowerOfTwo(bytes))
      shelf.unneeded = Math.min(shelf.unneeded, shelf.spare.length)
      lent.set(piece.buffer, piece)
      return piece
    },

    giveBack(taken) {
      for (const { buffer } of taken) {
        const piece = lent.get(buffer)
        if (piece === undefined) continue
        // Once, or it would be lent to two.
        lent.delete(buffer)
        shelfOf(piece.length).spare.push(piece)
        sweeping ??= setInterval(sweep, unneededMs).unref()
      }
    },
  }
}

function nextPowerOfTwo(bytes: number): number {
  return 2 ** Math.ceil(Math.log2(bytes))
}

/** One for the process, and no dependency: gateways side by side share its memory. */
export const pieces = createPieces()
