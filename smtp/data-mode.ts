import type { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { indexOfDotLine } from './dot-stuffing.ts'

type Done = (error?: Error | null) => void

const cr = 0x0d
const lf = 0x0a
const dot = 0x2e
const crLf = Buffer.of(cr, lf)
/** One less than CRLF "." CRLF (RFC 5321 §4.1.1.4): so much of it may be there before the rest comes. */
const maxUndecidedBytes = 4
const nothing: Buffer = Buffer.alloc(0)

/**
 * Stands for smtp-server's `_feedDataStream`, which looks at each byte, copies each chunk, and waits a turn of the event loop for
 * each doubled dot. Hands on the message without the dots that the client has added (RFC 5321 §4.5.2), and ends the data mode
 * behind the message. What ends a message, and which dot was added, is the same as there, byte for byte. `done` asks for more
 * bytes.
 */
export function takeData(parser: SMTPStream, chunk: Buffer, done: Done) {
  const undecided = parser._lastBytes || nothing
  parser._lastBytes = false
  // The CRLF before the first line is that of the DATA command.
  const beginsWithDot = parser._atDataStart && (undecided[0] ?? chunk[0]) === dot
  const before = beginsWithDot ? crLf : nothing
  const isWhole = before.length + undecided.length === 0
  const bytes = isWhole ? chunk : Buffer.concat([before, undecided, chunk])

  const parts: Buffer[] = []
  let from = before.length
  // An LF that is the very first byte ends no line: smtp-server does not look there either.
  let at = indexOfDotLine(bytes, parser._atDataStart ? 1 : 0)
  for (; at >= 0 && at + 3 < bytes.length; at = indexOfDotLine(bytes, at + 2)) {
    if (bytes[at - 1] === cr && bytes[at + 2] === cr && bytes[at + 3] === lf) {
      parts.push(bytes.subarray(from, at + 1))
      return end(parser, joined(parts), bytes.subarray(at + 4), done)
    }
    if (bytes[at + 2] !== dot) continue
    // Also where nothing was handed on yet: the dot that stays is content, and begins no end with the next chunk.
    parser._atDataStart = false
    parts.push(bytes.subarray(from, at + 1))
    from = at + 2
  }

  const until = undecidedFrom(bytes, from)
  if (until < bytes.length) parser._lastBytes = bytes.subarray(until)
  parts.push(bytes.subarray(from, until))
  handOn(parser, joined(parts), done)
}

/** Where bytes begin of which only the next ones tell what they are; without a line end among the last, none are. */
function undecidedFrom(bytes: Buffer, from: number): number {
  const mayGoOn = bytes.subarray(-maxUndecidedBytes).some((byte) => byte === cr || byte === lf)
  return mayGoOn ? Math.max(from, bytes.length - maxUndecidedBytes) : bytes.length
}

function end(parser: SMTPStream, piece: Buffer, rest: Buffer, done: Done) {
  parser._countDataBytes(piece.length)
  parser._endDataMode(piece, rest, done)
}

/** A stream that was destroyed takes nothing, and the rest of the message is passed over. */
function handOn(parser: SMTPStream, piece: Buffer, done: Done) {
  parser._countDataBytes(piece.length)
  const stream = parser._dataStream
  if (piece.length === 0 || !stream?.writable || stream.write(piece) || stream.destroyed) {
    return done()
  }
  function goOn() {
    stream?.off('drain', goOn).off('close', goOn)
    done()
  }
  stream.on('drain', goOn).on('close', goOn)
}

function joined(parts: readonly Buffer[]): Buffer {
  const [first = nothing, ...others] = parts
  return others.length === 0 ? first : Buffer.concat(parts)
}
