import type { IncomingMessage, ServerResponse } from 'node:http'
import type { MaybePromise } from '../src/core/maybe-promise.ts'
import { turns } from '../src/turns.ts'
import { bufferPool } from './buffer-pool.ts'

export type BodyRead =
  /** `chunks` may be released into `bufferPool` by who knows that nobody reads them any more. */
  | { readonly state: 'complete'; readonly chunks: readonly Buffer[] }
  | { readonly state: BodyUnread }

/** Why a body was not read to its end. */
export type BodyUnread =
  /** Longer than the limit. */
  | 'too-large'
  /** `onChunk` had enough, or somebody else has read it. */
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

/** A body may pause for so long, and beyond that comes at this rate at least: one byte at a time would hold a place for hours. */
const slowGraceMs = 20_000
const slowestBytesPerMs = 0.5

/** Reads a request's body as it arrives, counting its bytes itself. At once where all of it is there. */
export function readBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  reading: BodyReading,
): MaybePromise<BodyRead> {
  const { limit, onChunk, take } = reading
  const { 'content-length': contentLength, expect } = incoming.headers
  const declared = contentLength === undefined ? undefined : Number(contentLength)
  if (declared !== undefined && declared > limit) return { state: 'too-large' }
  // Nothing would come any more, and no end of it.
  if (incoming.readableEnded) return { state: 'stopped' }
  if (incoming.destroyed) return { state: 'aborted' }
  // RFC 9110 §10.1.1: now that the credential is good, the client may send. HTTP/1.0 knows no such answer.
  if (expect !== undefined && incoming.httpVersion !== '1.0') outgoing.writeContinue()
  if (incoming.readableLength === declared && incoming.readableFlowing === null) {
    return readWhole(incoming, reading)
  }

  return new Promise((resolve) => {
    const kept = createKeptBody(declared)
    let isOver = false
    let size = 0
    let allowedMs = slowGraceMs
    let timer = setTimeout(checkPace, slowGraceMs)

    /** Each time it has gone by, the bytes that came meanwhile have earned some more. */
    function checkPace() {
      const earnedMs = slowGraceMs + size / slowestBytesPerMs - allowedMs
      if (earnedMs <= 0) return finish({ state: 'too-slow' })
      allowedMs += earnedMs
      timer = setTimeout(checkPace, earnedMs)
    }
    function waitForTurn() {
      incoming.pause()
      turns.wait(() => incoming.resume())
    }

    function finish(read: BodyRead) {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      if (read.state !== 'complete') incoming.off('data', onData)
      resolve(read)
    }
    function onData(chunk: Buffer) {
      size += chunk.length
      if (size > limit) return finish({ state: 'too-large' })
      if (take?.(chunk.length) === false) return finish({ state: 'no-room' })
      kept.add(chunk)
      if (onChunk?.(chunk) === false) return finish({ state: 'stopped' })
      const hasRoom = turns.spend(chunk.length)
      // Where only the end is missing there is nothing to wait for behind everybody else's pieces.
      if (!hasRoom && size !== declared) waitForTurn()
    }
    function onEnd() {
      finish({ state: 'complete', chunks: kept.pieces() })
    }
    function onGone() {
      finish({ state: 'aborted' })
    }
    // The last one stays: a late error of a body that nobody reads any more must not end the process.
    incoming.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone)
  })
}

/** Most bodies are there with their header section. They need no timer, and no listeners of their own. */
function readWhole(incoming: IncomingMessage, { onChunk, take }: BodyReading): BodyRead {
  // Without its length Node would give the first piece alone.
  const body: Buffer | null = incoming.read(incoming.readableLength)
  // Node's parser may have its end yet to tell.
  incoming.resume()
  if (body === null) return { state: 'complete', chunks: [] }
  if (take?.(body.length) === false) return { state: 'no-room' }
  if (onChunk?.(body) === false) return { state: 'stopped' }
  turns.spend(body.length)
  return { state: 'complete', chunks: [body] }
}

/** Few and large pieces are written with few system calls; and no piece is so large that to join it holds anybody up. */
const smallestPiece = 4 * 1024
const largestPiece = 1024 * 1024

/** Keeps a body that arrives in pieces of any size, in few. `declared` is its length, where the client has said it. */
function createKeptBody(declared: number | undefined) {
  const full: Buffer[] = []
  let piece: Buffer | undefined
  let used = 0
  let size = 0

  /** As large as all that has come at most, so that one who sends a little takes little. */
  function nextPiece(arrived: number): Buffer {
    const wanted = Math.min(Math.max(size + arrived, smallestPiece), largestPiece)
    return bufferPool.acquire(
      declared === undefined ? wanted : Math.min(wanted, Math.max(declared - size, 1)),
    )
  }

  return {
    add(chunk: Buffer) {
      // Most bodies come whole, and need no copy.
      if (chunk.length === declared && size === 0) {
        full.push(chunk)
        size = chunk.length
        return
      }
      for (let at = 0; at < chunk.length; ) {
        piece ??= nextPiece(chunk.length - at)
        const copied = chunk.copy(piece, used, at)
        at += copied
        used += copied
        size += copied
        if (used === piece.length) {
          full.push(piece)
          piece = undefined
          used = 0
        }
      }
    },
    pieces: (): readonly Buffer[] =>
      piece === undefined ? full : [...full, piece.subarray(0, used)],
  }
}
