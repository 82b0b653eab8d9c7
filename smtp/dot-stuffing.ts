const dot = 0x2e
const lf = 0x0a
const lfAndDot = Buffer.of(lf, dot)
const lfAndTwoDots = Buffer.of(lf, dot, dot)

/** Doubles the dot at the start of each line (RFC 5321 §4.5.2). The bytes come in pieces, lines end in CR LF. */
export function createDotStuffing(): (piece: Buffer) => Buffer {
  let atLineStart = true

  return function stuff(piece) {
    if (piece.length === 0) return piece
    const beginsWithDot = atLineStart && piece[0] === dot
    atLineStart = piece.at(-1) === lf
    if (!beginsWithDot && indexOfDotLine(piece) < 0) return piece
    const text = piece.toString('latin1').replaceAll('\n.', '\n..')
    return Buffer.from(beginsWithDot ? `.${text}` : text, 'latin1')
  }
}

/** The reverse, for whole lines. Nothing is to be undone before `from`. */
export function withoutStuffing(lines: Buffer, from: number): Buffer {
  if (lines.indexOf(lfAndTwoDots, from) < 0) return lines
  return Buffer.from(lines.toString('latin1').replaceAll('\n..', '\n.'), 'latin1')
}

/**
 * Of the first LF with a dot behind it; -1 where there is none. Base64 has an LF in each line and no dot: the search for a dot alone
 * passes over it at once. In prose, which has many, the search for both goes on from the first.
 */
export function indexOfDotLine(bytes: Buffer): number {
  const firstDot = bytes.indexOf(dot, 1)
  return firstDot < 0 ? -1 : bytes.indexOf(lfAndDot, firstDot - 1)
}
