const dot = 0x2e
const lf = 0x0a
const oneDot = Buffer.of(dot)

/** Doubles the dot at the start of each line (RFC 5321 §4.5.2). The bytes come in pieces, lines end in CR LF. */
export function createDotStuffing(): (piece: Buffer) => Buffer {
  let atLineStart = true

  return function stuff(piece) {
    if (piece.length === 0) return piece
    const parts: Buffer[] = []
    let begin = 0
    for (let at = piece.indexOf(dot); at >= 0; at = piece.indexOf(dot, at + 1)) {
      if (at === 0 ? !atLineStart : piece[at - 1] !== lf) continue
      parts.push(piece.subarray(begin, at), oneDot)
      begin = at
    }
    atLineStart = piece.at(-1) === lf
    if (parts.length === 0) return piece
    return Buffer.concat([...parts, piece.subarray(begin)])
  }
}
