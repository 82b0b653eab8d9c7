import type { SMTPStream } from 'smtp-server/lib/smtp-stream.js'
import { indexOfDotLine } from './dot-stuffing.ts'

type Done = (error?: Error | null) => void

const cr = 0x0d
const lf = 0x0a
const dot = 0x2e
const crLf = Buffer.of(cr, lf)
/** What may be the beginning of CRLF "." CRLF (RFC 5321 §4.1.1.4), or a dot of which the next bytes tell what it is. */
const maxUndecidedBytes = 4
const nothing: Buffer = Buffer.alloc(0)

/**
 * Takes bytes for smtp-server's parser while that is in its data mode: hands on what is in the message without the dots that the
 * client has doubled (RFC 5321 §4.5.2), and ends the mode behind its end. What is read as an end, and what as a doubled dot, is
 * what smtp-server's own method reads so; that looks at each byte, copies each chunk, and waits a turn of the event loop for each
 * doubled dot. `done` asks for more bytes.
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
  // smtp-server takes no bare LF for the end of a line that is not there.
  let at = indexOfDotLine(bytes, parser._atDataStart ? 1 : 0)
  for (; at >= 0 && at + 3 < bytes.length; at = indexOfDotLine(bytes, at + 2)) {
    if (bytes[at - 1] === cr && bytes[at + 2] === cr && bytes[at + 3] === lf) {
      parts.push(bytes.subarray(from, at + 1))
      return end(parser, joined(parts), bytes.subarray(at + 4), done)
    }
    if (bytes[at + 2] !== dot) continue
    // From here on a dot in the first line is none of its own.
    parser._atDataStart = false
    parts.push(bytes.subarray(from, at + 1))
    from = at + 2
  }

  const mayGoOn = bytes.subarray(-maxUndecidedBytes).some((byte) => byte === cr || byte === lf)
  const until = mayGoOn ? Math.max(from, bytes.length - maxUndecidedBytes) : bytes.length
  if (until < bytes.length) parser._lastBytes = bytes.subarray(until)
  parts.push(bytes.subarray(from, until))
  handOn(parser, joined(parts), done)
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
