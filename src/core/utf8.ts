import { isUtf8 } from 'node:buffer'

/** Tells whether bytes that arrive in pieces are UTF-8 (RFC 3629), at the speed of Node's own check. */
export interface Utf8Check {
  /** False when the characters that are complete so far are not UTF-8. */
  write(chunk: Uint8Array): boolean
  /** False if the bytes end inside a character. */
  end(): boolean
}

const nothing = Buffer.alloc(0)

export function createUtf8Check(): Utf8Check {
  /** The first bytes of a character whose rest has not arrived: at most three. */
  let cut = nothing

  return {
    write(chunk) {
      let start = 0
      if (cut.length > 0) {
        const missing = characterLength(cut[0] ?? 0) - cut.length
        start = Math.min(missing, chunk.length)
        cut = Buffer.concat([cut, chunk.subarray(0, start)])
        if (start < missing) return true
        if (!isUtf8(cut)) return false
        cut = nothing
      }
      const end = lastCharacterStart(chunk, start)
      if (start === 0 && end === chunk.length) return isUtf8(chunk)
      if (!isUtf8(chunk.subarray(start, end))) return false
      cut = Buffer.from(chunk.subarray(end))
      return true
    },
    end: () => cut.length === 0,
  }
}

/** Where a character begins that the chunk does not finish, or the chunk's end. */
function lastCharacterStart(chunk: Uint8Array, start: number): number {
  for (let at = chunk.length - 1; at >= start && at >= chunk.length - 3; at--) {
    const byte = chunk[at] ?? 0
    if (byte < 0x80) break
    if (byte >= 0xc0) return at + characterLength(byte) > chunk.length ? at : chunk.length
  }
  return chunk.length
}

function characterLength(firstByte: number): number {
  if (firstByte < 0xe0) return 2
  return firstByte < 0xf0 ? 3 : 4
}
