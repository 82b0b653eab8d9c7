import { turns } from '../src/turns.ts'
import type { ReplyLine, UpstreamReply } from './reply-line.ts'

/** Of a message that can be one write with its dot: the smallest buffer that Linux gives a socket takes them (tcp(7)). */
const oneWriteBytes = 4096

/**
 * Writes messages to the relay, one after the other, each after the 354 to its DATA. All three throw, or reject with,
 * `UpstreamTrouble`.
 */
export interface MessageWriter {
  /**
   * Writes a part of the message, of a text one byte for each character (latin1); a promise, to be waited for, while the upstream
   * takes no more.
   */
  write(piece: Buffer | string): Promise<void> | undefined
  /** To be waited for before the dot is decided on, which would go out late behind bytes that the upstream does not take. */
  taken(): Promise<void> | undefined
  /**
   * Writes the final dot when the turn of the event loop is over, if it may then, and answers the relay's reply. Undefined, and no dot,
   * if it may not, or if what was written before had to be waited for. After an early refusal: that, and no dot.
   */
  finish(mayFinish: () => boolean): Promise<UpstreamReply | undefined>
}

/** Of a message that is over with its turn. */
interface FinalDot {
  mayGoOut(): boolean
  resolve(reply: Promise<UpstreamReply | undefined>): void
}

export function createMessageWriter(line: ReplyLine, timeoutMs: number): MessageWriter {
  let isGathering = false
  /** Of a short message, a character for a byte: Node writes one text at less cost than several buffers. */
  let held = ''
  /** Written of this message, held back or gone out. */
  let messageBytes = 0
  /** Whether some of them have gone out. */
  let isBegun = false
  let finalDot: FinalDot | undefined

  /** Whether all of the message can still be one write with its dot. */
  function isShort(): boolean {
    return !isBegun && messageBytes <= oneWriteBytes
  }

  /** What is written in one turn of the event loop is one write to the operating system, with the dot if that comes in it too. */
  function gather() {
    if (isGathering) return
    isGathering = true
    turns.atEnd(send)
  }

  function send() {
    if (!isGathering) return
    isGathering = false
    isBegun = true
    if (finalDot !== undefined) {
      const { mayGoOut, resolve } = finalDot
      finalDot = undefined
      resolve(addDot(mayGoOut))
    }
    writeHeld()
    line.socket().uncork()
  }

  /** Async for its callers' sake: what goes wrong in it is this message's trouble, and nobody else's. */
  async function addDot(mayGoOut: () => boolean): Promise<UpstreamReply | undefined> {
    const early = line.earlyReply()
    if (early !== undefined || !mayGoOut()) return early
    held += '.\r\n'
    messageBytes = 0
    isBegun = false
    return line.replyToMessage()
  }

  /** A relay that has refused the message could read the rest of it as commands. */
  function writeHeld() {
    const isOver = line.trouble() !== undefined || line.earlyReply() !== undefined
    if (held !== '' && !isOver) line.socket().write(held, 'latin1')
    held = ''
  }

  /** While a full socket drains, the upstream may go away, or answer early and read no more. */
  function drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = line.socket()
      const limit = setTimeout(() => line.fail('the upstream takes no more'), timeoutMs)
      function settle() {
        clearTimeout(limit)
        socket.off('close', settle)
        const trouble = line.trouble()
        if (trouble === undefined || line.earlyReply() !== undefined) resolve()
        else reject(trouble)
      }
      // Not `drain`, which a socket has only for those who wrote more than it wants.
      socket.write('', (error) => {
        if (!error) settle()
      })
      socket.on('close', settle)
      line.whenRefused(settle)
    })
  }

  /** Nobody reads the rest then, and it stays refused though the relay hangs up. Throws `UpstreamTrouble`. */
  function isRefused(): boolean {
    if (line.earlyReply() !== undefined) return true
    const trouble = line.trouble()
    if (trouble !== undefined) throw trouble
    return false
  }

  function taken(): Promise<void> | undefined {
    if (isRefused() || isShort()) return undefined
    send()
    return line.socket().writableLength > 0 ? drained() : undefined
  }

  return {
    write(piece) {
      if (isRefused()) return undefined
      gather()
      messageBytes += piece.length
      if (isShort()) {
        held += piece.toString('latin1')
        return undefined
      }
      const socket = line.socket()
      // Once: Node counts them, and `send` takes one away.
      if (socket.writableCorked === 0) socket.cork()
      writeHeld()
      if (socket.write(piece, 'latin1')) return undefined
      send()
      const isFull = socket.writableLength >= socket.writableHighWaterMark
      return isFull ? drained() : undefined
    },

    taken,

    finish(mayFinish) {
      // Whatever was asked before the wait is to be asked again.
      const late = taken()
      if (late !== undefined) return late.then(() => undefined)
      gather()
      return new Promise((resolve) => {
        finalDot = { mayGoOut: mayFinish, resolve }
      })
    },
  }
}
