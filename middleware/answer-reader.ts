import { AnswerProblem, type Framing, readFields, requireFieldLines } from './answer-fields.ts'

/** Who is told what an upstream answers. */
export interface AnswerVisitor {
  /** The final answer begins: its status, and its fields as a flat list of names in lower case and values. */
  head(status: number, fields: readonly string[]): void
  /** A piece of its content, with more to come. A view of what was written: not to be kept. */
  data(piece: Buffer): void
  /** It is whole. `last` is what was still missing, where its length was known before: not to be kept either. */
  end(last?: Buffer): void
}

/** Reads answers of one connection, one after the other (RFC 9112), as their bytes arrive. */
export interface AnswerReader {
  /** The next bytes are the answer to a request with this method. */
  expect(method: string): void
  /** Throws `AnswerProblem` at the first bytes that are wrong. Afterwards the memory is the caller's again. */
  write(bytes: Buffer): void
  /** The upstream says no more. Throws `AnswerProblem` if that is too early. */
  close(): void
  /** For how many seconds another request may be sent on this connection, as of the last answer: 0 for not at all. */
  reusableSeconds(): number
}

/** Of the head of an answer, with interim ones before it, or of its trailer. */
const maxHeadBytes = 16 * 1024
/** A chunk's size, and extensions that nobody reads. */
const maxChunkLineBytes = 1024
/** Where the upstream does not say for how long it keeps a connection: most keep it longer. */
const usualKeepAliveSeconds = 5

const crlf = Buffer.from('\r\n')
const headEnd = Buffer.from('\r\n\r\n')
const lineFeed = 0x0a
const carriageReturn = 0x0d
const versionStart = 'HTTP/1.'

/** RFC 9112 §4; the space before a reason that is not there is forgotten by many. */
const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?\r\n/
/** RFC 9112 §7.1, without the spaces that nobody should write. */
const chunkLine =
  /^([\da-f]{1,12})(?:;[!#$%&'*+.^_`|~\w-]+(?:=(?:[!#$%&'*+.^_`|~\w-]+|"(?:[^"\\\0-\x08\n-\x1f\x7f]|\\[\t -~\x80-\xff])*"))?)*$/i

type State = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'until-close'

export function createAnswerReader(visitor: AnswerVisitor): AnswerReader {
  /** Undefined between two answers. */
  let state: State | undefined
  let method = ''
  /** Came, and cannot be read before more has come. */
  let pending: Buffer | undefined
  let headBytes = 0
  /** Of the content, or of the chunk. */
  let missingBytes = 0
  let reusableSeconds = 0

  /** Reads on from `at`; answers how far, or `at` itself when more has to come first. */
  function step(bytes: Buffer, at: number): number {
    switch (state) {
      case 'head':
        return readHead(bytes, at)
      case 'length':
      case 'chunk':
        return readContent(bytes, at)
      case 'chunk-size':
        return readChunkSize(bytes, at)
      case 'chunk-end':
        return readChunkEnd(bytes, at)
      case 'trailer':
        return readTrailer(bytes, at)
      case 'until-close':
        visitor.data(at === 0 ? bytes : bytes.subarray(at))
        return bytes.length
      case undefined:
        // Nobody asked for this. It must not be taken for the answer to the next request.
        reusableSeconds = 0
        return bytes.length
    }
  }

  function readHead(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(headEnd, at)
    if (end < 0) {
      requireHeadStart(bytes, at)
      requireRoom(bytes.length - at)
      return at
    }
    const next = end + headEnd.length
    requireRoom(next - at)
    headBytes += next - at
    const text = bytes.toString('latin1', at, end + crlf.length)
    const [first = '', minor, digits] = statusLine.exec(text) ?? []
    if (digits === undefined) throw new AnswerProblem('the upstream sent no status line')
    const status = Number(digits)
    if (status === 101) throw new AnswerProblem('the upstream switched to a protocol of its own')
    const { fields, framing } = readFields(text, first.length, minor === '1')
    // RFC 9110 §15.2: there may be several interim answers, also unasked.
    if (status >= 200) beginContent(status, fields, framing)
    // RFC 9112 §9.6: nothing comes behind that, and so no final one.
    else if (framing.closes)
      throw new AnswerProblem('the upstream broke off behind an interim answer')
    return next
  }

  function requireRoom(bytes: number) {
    if (headBytes + bytes > maxHeadBytes) {
      throw new AnswerProblem('the head of the answer is too large')
    }
  }

  /** RFC 9112 §6.3. */
  function beginContent(status: number, fields: readonly string[], framing: Framing) {
    const { contentLength, isChunked, closes, keepAliveSeconds } = framing
    const hasNone = method === 'HEAD' || status === 204 || status === 304
    reusableSeconds = closes ? 0 : (keepAliveSeconds ?? usualKeepAliveSeconds)
    // Some send what should not be there, and later than this: it could be taken for the answer to the next request.
    if (hasNone && (method === 'HEAD' || isChunked || (contentLength ?? 0) > 0)) reusableSeconds = 0
    visitor.head(status, fields)
    if (hasNone || contentLength === 0) return finish()
    if (isChunked) {
      state = 'chunk-size'
    } else if (contentLength !== undefined) {
      state = 'length'
      missingBytes = contentLength
    } else {
      state = 'until-close'
      reusableSeconds = 0
    }
  }

  function readContent(bytes: Buffer, at: number): number {
    const next = Math.min(at + missingBytes, bytes.length)
    const piece = at === 0 && next === bytes.length ? bytes : bytes.subarray(at, next)
    missingBytes -= piece.length
    if (missingBytes > 0) visitor.data(piece)
    else if (state === 'length') finish(piece)
    else {
      state = 'chunk-end'
      visitor.data(piece)
    }
    return next
  }

  function readChunkSize(bytes: Buffer, at: number): number {
    const line = lineAt(bytes, at, maxChunkLineBytes)
    if (line === undefined) return at
    const [, digits] = chunkLine.exec(line) ?? []
    if (digits === undefined) throw new AnswerProblem('the size of a chunk is malformed')
    missingBytes = Number.parseInt(digits, 16)
    headBytes = 0
    state = missingBytes === 0 ? 'trailer' : 'chunk'
    return at + line.length + crlf.length
  }

  function readChunkEnd(bytes: Buffer, at: number): number {
    if (bytes[at] !== carriageReturn) throw new AnswerProblem('a chunk is longer than its size')
    if (at + 1 === bytes.length) return at
    if (bytes[at + 1] !== lineFeed) throw new AnswerProblem('a chunk is longer than its size')
    state = 'chunk-size'
    return at + crlf.length
  }

  /** Its fields are dropped: what may be in one depends on the field (RFC 9110 §6.5.1). */
  function readTrailer(bytes: Buffer, at: number): number {
    const line = lineAt(bytes, at, maxHeadBytes)
    if (line === undefined) return at
    const next = at + line.length + crlf.length
    requireRoom(next - at)
    headBytes += next - at
    if (line === '') finish()
    else requireFieldLines(`${line}\r\n`, 0)
    return next
  }

  function finish(last?: Buffer) {
    state = undefined
    visitor.end(last)
  }

  return {
    expect(requestMethod) {
      method = requestMethod
      state = 'head'
      headBytes = 0
      pending = undefined
    },

    write(arrived) {
      const bytes = pending === undefined ? arrived : Buffer.concat([pending, arrived])
      pending = undefined
      for (let at = 0; at < bytes.length; ) {
        const next = step(bytes, at)
        if (next === at) {
          pending = Buffer.from(bytes.subarray(at))
          return
        }
        at = next
      }
    },

    close() {
      if (state === 'until-close') finish()
      else if (state !== undefined) throw new AnswerProblem('the upstream broke off its answer')
    },

    reusableSeconds: () => reusableSeconds,
  }
}

/** The line that begins there, without its end; undefined while that has not come. */
function lineAt(bytes: Buffer, at: number, maxBytes: number): string | undefined {
  const end = bytes.indexOf(crlf, at)
  // What came last may be the CR of its end.
  if ((end < 0 ? bytes.length - 1 : end) - at > maxBytes) {
    throw new AnswerProblem('a line of the answer is too long')
  }
  return end < 0 ? undefined : bytes.toString('latin1', at, end)
}

/** What is no HTTP is told at once, and not when the time is over. */
function requireHeadStart(bytes: Buffer, at: number) {
  const start = bytes.toString('latin1', at, at + versionStart.length)
  const lineEnd = bytes.indexOf(lineFeed, at)
  const isBare = lineEnd >= 0 && bytes[lineEnd - 1] !== carriageReturn
  if (!versionStart.startsWith(start) || isBare) {
    throw new AnswerProblem('the upstream sent no status line')
  }
}
