import { AnswerProblem } from './answer-fields.ts'
import { createAnswerReader } from './answer-reader.ts'
import { openSocket, type UpstreamAddress } from './upstream-socket.ts'

export type ConnectionFailure = 'unreachable' | 'timeout' | 'misbehaved'

/** The upstream is not there, or does not answer as one. */
export class UpstreamTrouble extends Error {
  readonly failure: ConnectionFailure

  constructor(failure: ConnectionFailure, message: string) {
    super(message)
    this.failure = failure
  }
}

/** What was decided holds no more, and the upstream has not got all of the request. */
export class Superseded extends Error {}

/** One request, and who is told of its answer. */
export interface UpstreamCall {
  readonly method: string
  /** Request line and fields, and the empty line behind them; a character for a byte. */
  readonly head: string
  readonly body: readonly Buffer[]
  /** No other may follow it on its connection. */
  readonly isLast: boolean
  /** Which has it now. */
  connection: UpstreamConnection | undefined
  /** Asked in the turn of the event loop in which the last byte goes out. */
  mayFinish(): boolean
  /** The answer begins: its status, and its fields as a flat list of names in lower case and values. */
  answered(status: number, fields: readonly string[]): void
  /** A piece of its content, to keep. False: no more for now, until the connection is told to go on. */
  data(piece: Buffer): boolean
  /** The answer is whole. `last` is not to be kept. `isTaken`: nothing reads the memory of the body any more. */
  end(last: Buffer | undefined, isTaken: boolean): void
  /** It is not, and nothing more will come: `UpstreamTrouble`, `Superseded`, or what one of these functions threw. */
  fail(error: Error): void
}

/** A connection to an upstream, with one call at a time. */
export interface UpstreamConnection {
  /** Writes the call, all of it in this turn if it is short. */
  start(call: UpstreamCall): void
  isFree(): boolean
  /** Reads on after `data` said no. */
  resume(): void
  /** One more tick has gone by: what has waited for too long ends here. */
  tick(): void
  /** Gives up the call, of which nobody hears any more. */
  destroy(): void
}

export interface ConnectionHooks {
  /** It can take a call. */
  free(connection: UpstreamConnection): void
  gone(): void
}

/** In ticks. */
export interface Patience {
  readonly connect: number
  /** For the head of an answer, for each piece of it, and for each piece of a request. */
  readonly answer: number
  readonly tickMs: number
}

/** Of a megabyte, most would wait in the gate for a slow upstream, and still go out after a deletion has answered. */
const lastWriteBytes = 4 * 1024
/** Head and body as one text, a character for a byte: up to here Node writes that without memory of its own. */
const oneWriteBytes = 16 * 1024
/** A connection that the upstream is about to close is not used: the request could be lost on the way. */
const keepAliveMarginMs = 2_000
const maxIdleMs = 600_000

/** Connects, with a first call to make. */
export function connectToUpstream(
  address: UpstreamAddress,
  patience: Patience,
  hooks: ConnectionHooks,
  first: UpstreamCall,
): UpstreamConnection {
  let call: UpstreamCall | undefined = first
  let isConnected = false
  /** All of the request is written. */
  let isWritten = false
  let isLast = false
  let isPaused = false
  /** Since the call got further, or since there is none. A head counts when it is whole: a byte of it now and then is not enough. */
  let age = 0
  /** 0 before the first answer: the next tick ends it. */
  let idleTicks = 0

  const reader = createAnswerReader({
    head(status, fields) {
      age = 0
      call?.answered(status, fields)
    },
    data(piece) {
      age = 0
      if (call?.data(Buffer.from(piece)) !== false) return
      isPaused = true
      socket.pause()
    },
    end: (last) => takeCall()?.end(last, isTaken()),
  })

  const socket = openSocket(address, read)
  socket.on(address.tls === undefined ? 'connect' : 'secureConnect', () => {
    isConnected = true
    if (call !== undefined) start(call)
  })
  socket.on('end', () => {
    try {
      if (call !== undefined) reader.close()
    } catch (problem) {
      fail(asError(problem))
    }
    socket.destroy()
  })
  socket.on('error', (error) => {
    fail(new UpstreamTrouble(isConnected ? 'misbehaved' : failureOf(error), describe(error)))
  })
  socket.on('close', () => {
    fail(new UpstreamTrouble('misbehaved', 'the upstream closed the connection'))
    hooks.gone()
  })

  function takeCall(): UpstreamCall | undefined {
    const taken = call
    call = undefined
    if (taken !== undefined) taken.connection = undefined
    return taken
  }

  function fail(error: Error) {
    socket.destroy()
    takeCall()?.fail(error)
  }

  function read(bytes: Buffer) {
    // What nobody asked for must not be taken for the answer to the next request.
    if (call === undefined) return void socket.destroy()
    try {
      reader.write(bytes)
    } catch (problem) {
      return fail(asError(problem))
    }
    if (call === undefined) release()
  }

  /** Whether the operating system has all of the request. */
  function isTaken(): boolean {
    return isWritten && socket.writableLength === 0
  }

  /** After a whole answer. What is still to be written of its request would go out whatever has been decided since. */
  function release() {
    const idleMs = isTaken() && !isLast ? reader.reusableSeconds() * 1_000 - keepAliveMarginMs : 0
    idleTicks = Math.floor(Math.min(idleMs, maxIdleMs) / patience.tickMs)
    age = 0
    resume()
    if (idleTicks <= 0) socket.destroy()
    else hooks.free(connection)
  }

  function resume() {
    if (!isPaused) return
    isPaused = false
    age = 0
    socket.resume()
  }

  function start(next: UpstreamCall) {
    call = next
    isLast = next.isLast
    isWritten = false
    reader.expect(next.method)
    try {
      if (isShort(next)) writeAtOnce(next)
      else void writeInPieces(next).catch(fail)
    } catch (error) {
      fail(asError(error))
    }
  }

  function writeAtOnce({ head, body, mayFinish }: UpstreamCall) {
    if (!mayFinish()) {
      takeCall()?.fail(new Superseded())
      // Nothing was said on it: it is as old as it was.
      return hooks.free(connection)
    }
    age = 0
    let text = head
    for (const piece of body) text += piece.toString('latin1')
    isWritten = true
    socket.write(text, 'latin1')
  }

  /** The last of them only while it may: the upstream cannot act on a request that is not whole. */
  async function writeInPieces(own: UpstreamCall) {
    age = 0
    const pieces = own.body.filter(({ length }) => length > 0)
    const last = pieces.pop() ?? Buffer.alloc(0)
    const at = Math.max(0, last.length - lastWriteBytes)
    // In one write with what comes behind it.
    socket.cork()
    socket.write(own.head, 'latin1')
    for (const piece of [...pieces, last.subarray(0, at)]) {
      const taken = new Promise<unknown>((resolve) => socket.write(piece, resolve))
      socket.uncork()
      await taken
      age = 0
      // It may have been answered before it was whole, or given up.
      if (call !== own) return
    }
    if (!own.mayFinish()) return fail(new Superseded())
    isWritten = true
    socket.write(last.subarray(at))
  }

  const connection: UpstreamConnection = {
    start,

    isFree: () => call === undefined && !socket.destroyed,

    resume,

    tick() {
      age += 1
      if (call === undefined) {
        if (age >= idleTicks) socket.destroy()
      } else if (age > (isConnected ? patience.answer : patience.connect) && !isPaused) {
        fail(new UpstreamTrouble('timeout', 'the upstream did not answer in time'))
      }
    },

    destroy() {
      takeCall()
      socket.destroy()
    },
  }
  return connection
}

/** A head alone is a whole request, however long. */
function isShort({ head, body }: UpstreamCall): boolean {
  const length = byteLength(body)
  return length === 0 || head.length + length <= oneWriteBytes
}

export function byteLength(pieces: readonly Buffer[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0)
}

/** Of a connection that did not come about. */
function failureOf({ code }: Error & { code?: string }): ConnectionFailure {
  return code === 'ETIMEDOUT' ? 'timeout' : 'unreachable'
}

/** Of several addresses that were tried, each has an error of its own. */
function describe(error: Error): string {
  return error instanceof AggregateError ? error.errors.map(String).join('; ') : error.message
}

function asError(problem: unknown): Error {
  if (problem instanceof AnswerProblem) return new UpstreamTrouble('misbehaved', problem.message)
  return problem instanceof Error ? problem : new Error(String(problem))
}
