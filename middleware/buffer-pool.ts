/** Memory that is used again. */
export interface BufferPool {
  /** At most so many bytes, and more than half of them, with anything in them. */
  acquire(bytes: number): Buffer
  /** Takes back memory that nobody reads or writes any more, by any view of it. What was not acquired here is left alone. */
  release(buffers: readonly Buffer[]): void
}

/** Smaller ones are not worth keeping. */
const smallestKept = 64 * 1024
/** Of all sizes. */
const maxSpareBytes = 64 * 1024 * 1024
/** What was not needed for so long goes, within as long again. */
const unneededMs = 7_500

/** Of one power of two. */
interface SizeClass {
  readonly spare: ArrayBufferLike[]
  /** The fewest that were spare since the last sweep. */
  unneeded: number
}

/**
 * V8 counts memory that is allocated anew for each body as growth of its heap, marks all of it again after every few of them, and stops
 * everybody for some milliseconds each time.
 */
export function createBufferPool(): BufferPool {
  const sizeClasses = new Map<number, SizeClass>()
  /** What is never released is the garbage collector's. */
  const acquired = new WeakSet<ArrayBufferLike>()
  let spareBytes = 0
  let sweeping: NodeJS.Timeout | undefined

  function classOf(size: number): SizeClass {
    const known = sizeClasses.get(size)
    if (known !== undefined) return known
    const sizeClass = { spare: [], unneeded: 0 }
    sizeClasses.set(size, sizeClass)
    return sizeClass
  }

  function sweep() {
    for (const [size, sizeClass] of sizeClasses) {
      spareBytes -= size * sizeClass.spare.splice(0, sizeClass.unneeded).length
      sizeClass.unneeded = sizeClass.spare.length
    }
    if (spareBytes > 0) return
    clearInterval(sweeping)
    sweeping = undefined
  }

  return {
    acquire(bytes) {
      if (bytes < smallestKept) return Buffer.allocUnsafeSlow(bytes)
      const size = 2 ** Math.floor(Math.log2(bytes))
      const sizeClass = classOf(size)
      const spare = sizeClass.spare.pop()
      if (spare !== undefined) spareBytes -= size
      sizeClass.unneeded = Math.min(sizeClass.unneeded, sizeClass.spare.length)
      const memory = spare ?? Buffer.allocUnsafeSlow(size).buffer
      acquired.add(memory)
      return Buffer.from(memory)
    },

    release(buffers) {
      for (const { buffer } of buffers) {
        // What came back twice would be given to two.
        if (!acquired.delete(buffer)) continue
        const size = buffer.byteLength
        if (spareBytes + size > maxSpareBytes) continue
        spareBytes += size
        classOf(size).spare.push(buffer)
        sweeping ??= setInterval(sweep, unneededMs).unref()
      }
    },
  }
}

/** One for the process, and no dependency: gateways side by side share its memory. */
export const bufferPool = createBufferPool()
