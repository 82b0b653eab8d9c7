import type { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { indexOfDotLine, withoutStuffing } from './dot-stuffing.ts'

type Done = (error?: Error | null) => void

const cr = 0x0d
const lf = 0x0a
const dot = 0x2e
const crLf = Buffer.of(cr, lf)
/** RFC 5321 §4.1.1.4: the line that ends a message, and the CRLF before it. */
const endOfData = Buffer.of(cr, lf, dot, cr, lf)
const nothing: Buffer = Buffer.alloc(0)

/**
 * Stands for smtp-server's `_feedDataStream`, which looks at each byte, copies each chunk, and waits a turn of the event loop for
 * each doubled dot. Hands on the message without the dots that the client has added (RFC 5321 §4.5.2), and ends the data mode
 * behind the message. What ends a message, and which dot was added, is the same as there, byte for byte, but for an LF that is
 * the first byte of all. `done` asks for more bytes.
 */
export function takeData(parser: SMTPStream, chunk: Buffer, done: Done) {
  const undecided = parser._lastBytes || nothing
  parser._lastBytes = false
  // The CRLF before the first line is that of the DATA command.
  const before = parser._atDataStart && (undecided[0] ?? chunk[0]) === dot ? crLf : nothing
  const from = before.length
  const isWhole = from + undecided.length === 0
  const bytes = isWhole ? chunk : Buffer.concat([before, undecided, chunk])

  const dotLine = indexOfDotLine(bytes)
  const end = dotLine < 0 ? -1 : bytes.indexOf(endOfData, Math.max(0, dotLine - 1))
  const until = end < 0 ? Math.max(from, undecidedFrom(bytes)) : end + crLf.length
  const lines = bytes.subarray(0, until)
  const piece = (dotLine < 0 ? lines : withoutStuffing(lines, dotLine)).subarray(from)
  parser._countDataBytes(piece.length)
  if (end >= 0) return parser._endDataMode(piece, bytes.subarray(end + endOfData.length), done)
  if (until < bytes.length) parser._lastBytes = bytes.subarray(until)
  handOn(parser, piece, done)
}

/** Where a line ends that is perhaps the last, or that a dot follows which was perhaps added: the next bytes tell. */
function undecidedFrom(bytes: Buffer): number {
  for (let at = Math.max(0, bytes.length - endOfData.length + 1); at < bytes.length; at++) {
    if (bytes[at] === cr || bytes[at] === lf) return at
  }
  return bytes.length
}

/** A stream that was destroyed takes nothing, and the rest of the message is passed over. */
function handOn({ _dataStream: stream }: SMTPStream, piece: Buffer, done: Done) {
  if (piece.length === 0 || !stream?.writable || stream.write(piece) || stream.destroyed) {
    return done()
  }
  function goOn() {
    stream?.off('drain', goOn).off('close', goOn)
    done()
  }
  stream.on('drain', goOn).on('close', goOn)
}
