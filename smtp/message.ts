import type { Readable } from 'node:stream'
import type { Clock } from '../src/clock.ts'
import { headerSenders } from '../src/core/header-from.ts'
import { createLineEndingGuard } from '../src/core/line-ending-guard.ts'
import { createHeaderReader, type MessageHeader } from '../src/core/message-header.ts'
import { messageProblemReply, SmtpRefusal, tooLarge, tooSlow } from './reply.ts'

/** A message whose header has arrived; the rest is still on its way. */
export interface OpenMessage {
  readonly header: MessageHeader
  /** The domains (A-labels) that it says it is from: at least one. */
  readonly senders: readonly string[]
  /** The rest, beginning with the empty line. Nothing of an offending piece is handed out: it throws `SmtpRefusal`. */
  readonly body: AsyncIterable<Buffer>
}

const cr = 0x0d

/**
 * Reads the header section off the bytes of DATA, in bounded memory. Throws `SmtpRefusal` for a message that two servers
 * could read differently, or that is too large; and what the stream throws when the client is gone.
 */
export async function openMessage(
  pieces: AsyncIterator<Buffer>,
  maxMessageBytes: number,
): Promise<OpenMessage> {
  const checked = checkPieces(pieces, maxMessageBytes)
  const reader = createHeaderReader()
  for (;;) {
    const { done, value } = await checked.next()
    const read = done ? reader.end() : reader.write(value)
    if (read.state === 'more') continue
    if (read.state === 'refused') throw refused(read.problem)
    const senders = headerSenders(read.header)
    if (!senders.ok) throw refused(senders.problem)
    return { header: read.header, senders: senders.domains, body: restOf(read.rest, checked) }
  }
}

async function* restOf(rest: Buffer, checked: AsyncIterable<Buffer>) {
  if (rest.length > 0) yield rest
  yield* checked
}

/** Hands on what was found good. A CR at the end of a piece waits for the LF, which may not come. */
async function* checkPieces(pieces: AsyncIterator<Buffer>, maxMessageBytes: number) {
  const guard = createLineEndingGuard()
  let received = 0
  let held: Buffer = Buffer.alloc(0)
  for (;;) {
    const { done, value } = await pieces.next()
    const problem = done ? guard.end() : guard.write(value)
    if (problem !== undefined) throw refused(problem)
    if (done) return
    received += value.length
    if (received > maxMessageBytes) throw new SmtpRefusal(tooLarge(maxMessageBytes))
    const piece = held.length === 0 ? value : Buffer.concat([held, value])
    const end = piece.at(-1) === cr ? piece.length - 1 : piece.length
    held = piece.subarray(end)
    if (end > 0) yield piece.subarray(0, end)
  }
}

function refused(problem: Parameters<typeof messageProblemReply>[0]) {
  return new SmtpRefusal(messageProblemReply(problem))
}

/** RFC 5321 §4.5.3.2.5: a client gives up on a block of data after three minutes, too. */
const slowGraceMs = 180_000
/** Beyond that a message comes at this rate at least, counted while the gate waits for the client. */
const slowestBytesPerMs = 0.5

/**
 * The pieces of a stream; to stop reading does not destroy it. A client that is too slow does: then it throws
 * `SmtpRefusal`.
 */
export function piecesOf(stream: Readable, clock: Pick<Clock, 'monotonic'>): AsyncIterator<Buffer> {
  const pieces: AsyncIterator<Buffer> = stream.iterator({ destroyOnReturn: false })
  let received = 0
  let waitedMs = 0
  return {
    async next() {
      const startedAt = clock.monotonic()
      const leftMs = slowGraceMs + received / slowestBytesPerMs - waitedMs
      const giveUp = () => stream.destroy(new SmtpRefusal(tooSlow))
      const timer = setTimeout(giveUp, Math.max(leftMs, 0))
      try {
        const next = await pieces.next()
        if (!next.done) received += next.value.length
        return next
      } finally {
        clearTimeout(timer)
        waitedMs += clock.monotonic() - startedAt
      }
    },
  }
}

/** Reads the rest of a refused message and throws it away; false when there is more of it than `maxBytes`. */
export async function discardRest(
  pieces: AsyncIterator<Buffer>,
  maxBytes: number,
): Promise<boolean> {
  let left = maxBytes
  for (;;) {
    const { done, value } = await pieces.next()
    if (done) return true
    left -= value.length
    if (left < 0) return false
  }
}
