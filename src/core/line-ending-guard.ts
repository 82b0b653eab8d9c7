import { createLowByteSearch } from './low-bytes.ts'

/** What may not be in a message, since two servers could disagree on where such a message ends. */
export type LineEndingProblem = 'bare-cr-or-lf' | 'nul'

/** Watches the bytes of a message as they arrive (RFC 5321 §2.3.8: CR and LF only together). */
export interface LineEndingGuard {
  /** What is wrong in the message so far, or undefined. */
  write(chunk: Uint8Array): LineEndingProblem | undefined
  /** The message is over: a CR at its very end stands alone. */
  end(): LineEndingProblem | undefined
}

const cr = 0x0d
const lf = 0x0a

export function createLineEndingGuard(): LineEndingGuard {
  let afterCr = false

  return {
    write(chunk) {
      const search = createLowByteSearch(chunk, cr + 1)
      for (let at = 0; at < chunk.length; at++) {
        if (!afterCr) at = search(at, chunk.length)
        const byte = chunk[at]
        if (byte === undefined) break
        if (afterCr !== (byte === lf)) return 'bare-cr-or-lf'
        if (byte === 0) return 'nul'
        afterCr = byte === cr
      }
      return undefined
    },
    end: () => (afterCr ? 'bare-cr-or-lf' : undefined),
  }
}
