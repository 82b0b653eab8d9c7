import type { Duplex } from 'node:stream'
import type { Clock } from '../src/clock.ts'
import { headerSenders } from '../src/core/header-from.ts'
import { createLineEndingGuard } from '../src/core/line-ending-guard.ts'
import { andThen, isPromise, type MaybePromise } from '../src/core/maybe-promise.ts'
import { createHeaderReader, type MessageHeader } from '../src/core/message-header.ts'
import { turns } from '../src/turns.ts'
import { messageProblemReply, SmtpRefusal, tooLarge, tooSlow } from './reply.ts'

/** The bytes of a message as they come. */
export interface Pieces {
  /**
   * Undefined at the end. Throws, or rejects with, `SmtpRefusal`, and what the stream throws when the client is gone.
   */
  next(): MaybePromise<Buffer | undefined>
}

/** Off the client's own stream, of which the end can be seen without waiting. */
export interface ArrivingPieces extends Pieces {
  /** Whether all of the message has come and was handed out. */
  isOver(): boolean
}

/** A message whose header has arrived; the rest is still on its way. */
export interface OpenMessage {
  readonly header: MessageHeader
  /** The domains (A-labels) that it says it is from: at least one. */
  readonly senders: readonly string[]
  /** The rest, beginning with the empty line. Nothing of an offending piece is handed out: it throws `SmtpRefusal`. */
  readonly body: Pieces
}

const cr = 0x0d
/** Shared by all: an empty view for each message would cost more than the check does. */
const nothing: Buffer = Buffer.alloc(0)

/**
 * Reads the header section off the bytes of DATA, in bounded memory. Throws `SmtpRefusal` for a message that two servers
 * could read differently, or that is too large; and what `pieces` throws when the client is gone.
 */
export async function openMessage(pieces: Pieces, maxMessageBytes: number): Promise<OpenMessage> {
  const checked = checkPieces(pieces, maxMessageBytes)
  const reader = createHeaderReader()
  for (;;) {
    const came = checked.next()
    const piece = isPromise(came) ? await came : came
    const read = piece === undefined ? reader.end() : reader.write(piece)
    if (read.state === 'more') continue
    if (read.state === 'refused') throw refused(read.problem)
    const senders = headerSenders(read.header)
    if (!senders.ok) throw refused(senders.problem)
    return { header: read.header, senders: senders.domains, body: restOf(read.rest, checked) }
  }
}

function restOf(rest: Buffer, checked: Pieces): Pieces {
  let isFirst = rest.length > 0
  return {
    next() {
      if (!isFirst) return checked.next()
      isFirst = false
      return rest
    },
  }
}

/** Hands on what was found good. A CR at the end of a piece waits for the LF, which may not come. */
function checkPieces(pieces: Pieces, maxMessageBytes: number): Pieces {
  const guard = createLineEndingGuard()
  let received = 0
  let held = nothing
  function next(): MaybePromise<Buffer | undefined> {
    return andThen(pieces.next(), check)
  }

  function check(came: Buffer | undefined): MaybePromise<Buffer | undefined> {
    const problem = came === undefined ? guard.end() : guard.write(came)
    if (problem !== undefined) throw refused(problem)
    if (came === undefined) return undefined
    received += came.length
    if (received > maxMessageBytes) throw new SmtpRefusal(tooLarge(maxMessageBytes))
    const piece = held.length === 0 ? came : Buffer.concat([held, came])
    held = nothing
    if (piece[piece.length - 1] !== cr) return piece
    held = piece.subarray(-1)
    return piece.length > 1 ? piece.subarray(0, -1) : next()
  }

  return { next }
}

function refused(problem: Parameters<typeof messageProblemReply>[0]) {
  return new SmtpRefusal(messageProblemReply(problem))
}

/** RFC 5321 §4.5.3.2.5: a client gives up on a block of data after three minutes, too. */
const slowGraceMs = 180_000
/** Beyond that a message comes at this rate at least, counted while the gate waits for the client. */
const slowestBytesPerMs = 0.5

/**
 * Lies ready before anybody asks, so that a small message is there with its end. Each open DATA may hold so much, and the
 * piece that goes beyond it.
 */
const readAheadBytes = 16 * 1024

/**
 * Reads a stream as its bytes come, from now on and a little ahead; to stop reading does not destroy it. A client that is
 * too slow does: then it throws `SmtpRefusal`. Node's own iterator does several times the work for each message, and
 * copies pieces together.
 */
export function piecesOf(stream: Duplex, clock: Pick<Clock, 'monotonic'>): ArrivingPieces {
  const arrived: Buffer[] = []
  let arrivedBytes = 0
  let received = 0
  let waitedMs = 0
  let hasTurn = true
  let wake = () => {}
  stream.on('data', (piece: Buffer) => {
    arrived.push(piece)
    arrivedBytes += piece.length
    if (arrivedBytes >= readAheadBytes) stream.pause()
    wake()
  })
  for (const event of ['end', 'error', 'close']) stream.on(event, () => wake())

  function more(): Promise<void> {
    const startedAt = clock.monotonic()
    const leftMs = slowGraceMs + received / slowestBytesPerMs - waitedMs
    const giveUp = () => stream.destroy(new SmtpRefusal(tooSlow))
    const timer = setTimeout(giveUp, Math.max(leftMs, 0))
    return new Promise((resolve) => {
      wake = () => {
        clearTimeout(timer)
        waitedMs += clock.monotonic() - startedAt
        wake = () => {}
        resolve()
      }
      stream.resume()
    })
  }

  function next(): MaybePromise<Buffer | undefined> {
    if (!hasTurn) {
      hasTurn = true
      return new Promise<void>(turns.wait).then(next)
    }
    const piece = arrived.shift()
    if (piece !== undefined) {
      arrivedBytes -= piece.length
      received += piece.length
      // Where only the end is missing there is nothing to wait for.
      const isLast = arrived.length === 0 && stream.writableEnded && stream.readableLength === 0
      hasTurn = turns.spend(piece.length) || isLast
      return piece
    }
    if (stream.readableEnded) return undefined
    if (stream.errored) throw stream.errored
    if (stream.destroyed) throw new Error('the client left before the end of its message')
    return more().then(next)
  }
  return { next, isOver: () => arrived.length === 0 && stream.readableEnded }
}

/** Reads the rest of a refused message and throws it away; false when there is more of it than `maxBytes`. */
export async function discardRest(pieces: Pieces, maxBytes: number): Promise<boolean> {
  let left = maxBytes
  try {
    for (;;) {
      const piece = await pieces.next()
      if (piece === undefined) return true
      left -= piece.length
      if (left < 0) return false
    }
  } catch {
    // Too slow, or gone: nothing more will come.
    return true
  }
}
