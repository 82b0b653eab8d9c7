import type { IncomingMessage, ServerResponse } from 'node:http'

export type BodyRead =
  | { readonly state: 'complete'; readonly chunks: readonly Buffer[] }
  | { readonly state: BodyUnread }

/** Why a body was not read to its end. */
export type BodyUnread =
  /** Longer than the limit. */
  | 'too-large'
  /** `onChunk` had enough. */
  | 'stopped'
  /** The client is gone, and nobody is there to answer. */
  | 'aborted'
  /** It comes more slowly than any line is. */
  | 'too-slow'
  /** There is no memory for it now. */
  | 'no-room'

export interface BodyReading {
  readonly limit: number
  /** Sees each piece, and says false to stop reading: what is left is the caller's to drain. */
  readonly onChunk?: (chunk: Buffer) => boolean
  /** Says false when there is no memory for so many bytes more. */
  readonly take?: ((bytes: number) => boolean) | undefined
}

/** A piece costs some 400 bytes besides its own, and a client may send each byte as one: those below this are joined. */
const smallBytes = 4096
const maxSmallPieces = 1024
/**
 * How much is read before everybody else has a turn: a fast client's bytes arrive a megabyte at a time. A piece counts for
 * what looking at it costs, however small.
 */
const turnBytes = 64 * 1024
const pieceCost = 64
/** A body may pause for so long, and beyond that comes at this rate at least: one byte at a time would hold a place for hours. */
const slowGraceMs = 20_000
const slowestBytesPerMs = 0.5

/** Reads a request's body as it arrives, counting its bytes itself. */
export function readBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { limit, onChunk, take }: BodyReading,
): Promise<BodyRead> {
  if (Number(incoming.headers['content-length'] ?? 0) > limit) {
    return Promise.resolve({ state: 'too-large' })
  }
  // RFC 9110 §10.1.1: now that the credential is good, the client may send. HTTP/1.0 knows no such answer.
  if (incoming.headers.expect !== undefined && incoming.httpVersion !== '1.0')
    outgoing.writeContinue()

  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let small: Buffer[] = []
    let size = 0
    let cost = 0
    let allowedMs = slowGraceMs
    let timer = setTimeout(checkPace, slowGraceMs)

    /** Each time it has gone by, the bytes that came meanwhile have earned some more. */
    function checkPace() {
      const earnedMs = slowGraceMs + size / slowestBytesPerMs - allowedMs
      if (earnedMs <= 0) return finish({ state: 'too-slow' })
      allowedMs += earnedMs
      timer = setTimeout(checkPace, earnedMs)
    }
    function keep(chunk: Buffer) {
      if (chunk.length < smallBytes && small.push(chunk) < maxSmallPieces) return
      joinSmall()
      if (chunk.length >= smallBytes) chunks.push(chunk)
    }
    function joinSmall() {
      const [only] = small
      if (only !== undefined) chunks.push(small.length === 1 ? only : Buffer.concat(small))
      small = []
    }
    function pauseForOthers() {
      cost = 0
      incoming.pause()
      setImmediate(() => incoming.resume())
    }

    function finish(read: BodyRead) {
      clearTimeout(timer)
      incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
      // A late error of a body that nobody reads any more must not end the process.
      incoming.on('error', ignore)
      resolve(read)
    }
    function onData(chunk: Buffer) {
      size += chunk.length
      if (size > limit) return finish({ state: 'too-large' })
      if (take?.(chunk.length) === false) return finish({ state: 'no-room' })
      keep(chunk)
      if (onChunk?.(chunk) === false) return finish({ state: 'stopped' })
      cost += chunk.length + pieceCost
      if (cost >= turnBytes) pauseForOthers()
    }
    function onEnd() {
      joinSmall()
      finish({ state: 'complete', chunks })
    }
    function onClose() {
      finish({ state: 'aborted' })
    }
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
  })
}

function ignore() {}
