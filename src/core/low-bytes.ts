/** Where the first byte below the limit is, from `from` on; `to` when there is none before. */
export type LowByteSearch = (from: number, to: number) => number

/**
 * Searches bytes for those below `limit` (at most 128), four at a time: what may be anywhere in an attachment, and hardly ever
 * is. Made once for each piece, since a view of its words costs as much as looking at a thousand bytes.
 */
export function createLowByteSearch(bytes: Uint8Array, limit: number): LowByteSearch {
  const { buffer, byteOffset, length } = bytes
  const firstWord = Math.min(-byteOffset & 3, length)
  const words = new Int32Array(
    buffer,
    firstWord === length ? 0 : byteOffset + firstWord,
    (length - firstWord) >> 2,
  )
  const limits = Math.imul(limit, 0x01010101)

  return function search(from, to) {
    let at = from
    for (; at < to && ((at - firstWord) & 3) !== 0; at++) {
      if ((bytes[at] ?? 0) < limit) return at
    }
    const end = (to - firstWord) >> 2
    let i = (at - firstWord) >> 2
    for (; i < end; i++) {
      const word = words[i] as number
      // The high bit of a byte stays set only where the byte was below the limit, or follows such a byte.
      if (((word - limits) & ~word & 0x80808080) !== 0) break
    }
    at = Math.max(at, firstWord + i * 4)
    for (; at < to; at++) {
      if ((bytes[at] ?? 0) < limit) return at
    }
    return to
  }
}
