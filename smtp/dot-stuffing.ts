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
    for (let at = indexOfDotLine(piece, 0); at >= 0; at = indexOfDotLine(piece, begin)) {
      parts.push(piece.subarray(begin, at + 1), oneDot)
      begin = at + 1
    }
    atLineStart = piece.at(-1) === lf
    if (parts.length === 0) return piece
    return Buffer.concat([...parts, piece.subarray(begin)])
  }
}

/**
 * Where an LF has a dot behind it, from there on; negative: nowhere. Prose is full of dots, and what is encoded in Base64 has none:
 * to look for one alone first is quicker than to look at each LF.
 */
export function indexOfDotLine(bytes: Buffer, from: number): number {
  const firstDot = bytes.indexOf(dot, from + 1)
  return firstDot < 0 ? -1 : bytes.indexOf(lfAndDot, firstDot - 1)
}
