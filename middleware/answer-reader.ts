/** Bytes of an upstream that are no HTTP/1.1, or none that every reader would read alike. */
export class AnswerProblem extends Error {}

/** Who is told what an upstream answers. */
export interface AnswerVisitor {
  /** The final answer begins: its status, and its fields as a flat list of names in lower case and values. */
  head(status: number, fields: readonly string[]): void
  /** A piece of its content, with more to come. */
  data(piece: Buffer): void
  /** It is whole. `last` is what was still missing, where its length was known before. */
  end(last?: Buffer): void
}

/** Reads answers of one connection, one after the other (RFC 9112), as their bytes arrive. */
export interface AnswerReader {
  /** The next bytes are the answer to a request with this method. */
  expect(method: string): void
  /** Throws `AnswerProblem` at the first bytes that are wrong. */
  write(bytes: Buffer): void
  /** The upstream says no more. Throws `AnswerProblem` if that is too early. */
  close(): void
  /** For how many seconds another request may be sent on this connection, as of the last answer: 0 for not at all. */
  reusableFor(): number
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
const statusLine = /HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t -~\x80-\xff]*)?\r\n/y
/** RFC 9110 §5.1 and §5.5. A line that begins with a space (obs-fold) has no name. */
const fieldLine = /([!#$%&'*+.^_`|~\w-]+):[\t ]*([\t -~\x80-\xff]*)\r\n/y
/** RFC 9110 §8.6: so large that no content is longer, so small that it is counted exactly. */
const lengthValue = /^\d{1,15}$/
/** RFC 9112 §7.1, without the spaces that nobody should write. */
const chunkLine =
  /^([\da-f]{1,12})(?:;[!#$%&'*+.^_`|~\w-]+(?:=(?:[!#$%&'*+.^_`|~\w-]+|"(?:[^"\\\0-\x08\n-\x1f\x7f]|\\[\t -~\x80-\xff])*"))?)*$/i

type State = 'head' | 'length' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailer' | 'until-close'

/** What the fields of an answer say of its content and its connection. */
interface Framing {
  contentLength: number | undefined
  isChunked: boolean
  closes: boolean
  /** The shortest that is said. */
  keepAliveSeconds: number | undefined
}

export function createAnswerReader(visitor: AnswerVisitor): AnswerReader {
  /** Undefined between two answers. */
  let state: State | undefined
  let method = ''
  /** Came, and cannot be read before more has come. */
  let pending: Buffer | undefined
  let headBytes = 0
  /** Of the content, or of the chunk. */
  let missing = 0
  let reusableFor = 0

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
        reusableFor = 0
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
    const [first = '', minor, digits] = matchAt(statusLine, text, 0) ?? []
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
    reusableFor = closes ? 0 : (keepAliveSeconds ?? usualKeepAliveSeconds)
    // Some send what should not be there, and later than this: it could be taken for the answer to the next request.
    if (hasNone && (method === 'HEAD' || isChunked || (contentLength ?? 0) > 0)) reusableFor = 0
    visitor.head(status, fields)
    if (hasNone || contentLength === 0) return finish()
    if (isChunked) {
      state = 'chunk-size'
    } else if (contentLength !== undefined) {
      state = 'length'
      missing = contentLength
    } else {
      state = 'until-close'
      reusableFor = 0
    }
  }

  function readContent(bytes: Buffer, at: number): number {
    const next = Math.min(at + missing, bytes.length)
    const piece = at === 0 && next === bytes.length ? bytes : bytes.subarray(at, next)
    missing -= piece.length
    if (missing > 0) visitor.data(piece)
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
    missing = Number.parseInt(digits, 16)
    headBytes = 0
    state = missing === 0 ? 'trailer' : 'chunk'
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
    else fieldAt(`${line}\r\n`, 0)
    return next
  }

  function finish(last?: Buffer) {
    state = undefined
    visitor.end(last)
  }

  return {
    expect(of) {
      method = of
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
          pending = bytes.subarray(at)
          return
        }
        at = next
      }
    },

    close() {
      if (state === 'until-close') finish()
      else if (state !== undefined) throw new AnswerProblem('the upstream broke off its answer')
    },

    reusableFor: () => reusableFor,
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

/** Of the lines that begin at `from`. */
function readFields(text: string, from: number, isNew: boolean) {
  const fields: string[] = []
  const framing: Framing = {
    contentLength: undefined,
    isChunked: false,
    // RFC 9112 §9.3.
    closes: !isNew,
    keepAliveSeconds: undefined,
  }
  for (let at = from; at < text.length; ) {
    const [line, written = '', padded = ''] = fieldAt(text, at)
    const name = written.toLowerCase()
    const value = withoutEndSpace(padded)
    fields.push(name, value)
    frame(framing, name, value, isNew)
    at += line.length
  }
  // RFC 9112 §6.3: the two may mean that somebody wants it read in two ways.
  if (framing.isChunked && framing.contentLength !== undefined) {
    throw new AnswerProblem('the answer has both Content-Length and Transfer-Encoding')
  }
  return { fields, framing }
}

function fieldAt(text: string, at: number) {
  const match = matchAt(fieldLine, text, at)
  if (match === null) throw new AnswerProblem('a field of the answer is malformed')
  return match
}

/** `pattern` is a sticky one. */
function matchAt(pattern: RegExp, text: string, at: number) {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** RFC 9110 §5.6.3, OWS. Not `trimEnd`, for which U+00A0 is space too. */
function withoutEndSpace(text: string): string {
  let end = text.length
  while (end > 0 && (text[end - 1] === ' ' || text[end - 1] === '\t')) end--
  return text.slice(0, end)
}

/** Notes what a field says of the content's length and of the connection. */
function frame(framing: Framing, name: string, value: string, isNew: boolean) {
  switch (name) {
    case 'content-length':
      if (framing.contentLength !== undefined || !lengthValue.test(value)) {
        throw new AnswerProblem('the Content-Length of the answer is malformed')
      }
      framing.contentLength = Number(value)
      break
    case 'transfer-encoding':
      // Any other coding would reach the client without its name.
      if (framing.isChunked || !isNew || value.toLowerCase() !== 'chunked') {
        throw new AnswerProblem('the Transfer-Encoding of the answer is not supported')
      }
      framing.isChunked = true
      break
    case 'connection':
    // RFC 9112 §C.2.2: none of HTTP's, and some say it all the same.
    case 'proxy-connection':
      if (value !== 'keep-alive' && /(?:^|,)[\t ]*close[\t ]*(?:,|$)/i.test(value)) {
        framing.closes = true
      }
      break
    case 'keep-alive': {
      const [, seconds] = /(?:^|[,;\t ])timeout=(\d{1,9})/i.exec(value) ?? []
      if (seconds !== undefined) {
        framing.keepAliveSeconds = Math.min(framing.keepAliveSeconds ?? Infinity, Number(seconds))
      }
      break
    }
  }
}
