const dot = 0x2e
const lf = 0x0a
const oneDot = Buffer.of(dot)
const lfAndDot = Buffer.of(lf, dot)

/** Doubles the dot at the start of each line (RFC 5321 §4.5.2). The bytes come in pieces, lines end in CR LF. */
export function createDotStuffing(): (piece: Buffer) => Buffer {
  let atLineStart = true

  return function stuff(piece) {
    if (piece.length === 0) return piece
    const parts: Buffer[] = []
    let begin = 0
    if (atLineStart && piece[0] === dot) parts.push(oneDot)
    for (let at = indexOfDotLine(piece, begin); at >= 0; at = indexOfDotLine(piece, begin)) {
      parts.push(piece.subarray(begin, at + 1), oneDot)
      begin = at + 1
    }
    atLineStart = piece.at(-1) === lf
    if (parts.length === 0) return piece
    return Buffer.concat([...parts, piece.subarray(begin)])
  }
}

/**
 * Of the first LF with a dot behind it, at `from` or later; -1 where there is none. Base64 has an LF in each line and no dot: the
 * search for a dot alone passes over it at once. In prose, which has many, the search for both goes on from the first.
 */
export function indexOfDotLine(bytes: Buffer, from: number): number {
  const firstDot = bytes.indexOf(dot, from + 1)
  return firstDot < 0 ? -1 : bytes.indexOf(lfAndDot, firstDot - 1)
}
