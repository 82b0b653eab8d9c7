/** The fields of an answer, and what they say of its content and its connection (RFC 9112 §5, §6 and §9). */

/** Bytes of an upstream that are no HTTP/1.1, or none that every reader would read alike. */
export class AnswerProblem extends Error {}

/** RFC 9110 §5.1 and §5.5. A line that begins with a space (obs-fold) has no name. */
const fieldLines = /(?:[!#$%&'*+.^_`|~\w-]+:[\t -~\x80-\xff]*\r\n)*$/y
/** RFC 9110 §8.6: so large that no content is longer, so small that it is counted exactly. */
const lengthValue = /^\d{1,15}$/

/** What the fields of an answer say of its content and its connection. */
export interface Framing {
  contentLength: number | undefined
  isChunked: boolean
  closes: boolean
  /** The shortest that is said. */
  keepAliveSeconds: number | undefined
}

/** Reads the lines that begin at `from`. */
export function readFields(text: string, from: number, isHttp11: boolean) {
  const fields: string[] = []
  const framing: Framing = {
    contentLength: undefined,
    isChunked: false,
    // RFC 9112 §9.3.
    closes: !isHttp11,
    keepAliveSeconds: undefined,
  }
  requireFieldLines(text, from)
  for (let at = from; at < text.length; ) {
    const colon = text.indexOf(':', at)
    const end = text.indexOf('\r', colon)
    const name = text.slice(at, colon).toLowerCase()
    const value = sliceWithoutOws(text, colon + 1, end)
    fields.push(name, value)
    frame(framing, name, value, isHttp11)
    at = end + '\r\n'.length
  }
  // RFC 9112 §6.3: the two may mean that somebody wants it read in two ways.
  if (framing.isChunked && framing.contentLength !== undefined) {
    throw new AnswerProblem('the answer has both Content-Length and Transfer-Encoding')
  }
  return { fields, framing }
}

/** One look at all lines is cheaper than a pattern for each. Behind it every line has a name, a colon and an end. */
export function requireFieldLines(text: string, from: number) {
  fieldLines.lastIndex = from
  if (!fieldLines.test(text)) throw new AnswerProblem('a field of the answer is malformed')
}

/** Without OWS around it (RFC 9110 §5.6.3). Not `trim`, for which U+00A0 is space too. */
function sliceWithoutOws(text: string, from: number, to: number): string {
  let begin = from
  let end = to
  while (begin < end && isOws(text[begin])) begin++
  while (end > begin && isOws(text[end - 1])) end--
  return text.slice(begin, end)
}

function isOws(character: string | undefined): boolean {
  return character === ' ' || character === '\t'
}

/** Notes what a field says of the content's length and of the connection. */
function frame(framing: Framing, name: string, value: string, isHttp11: boolean) {
  switch (name) {
    case 'content-length':
      if (framing.contentLength !== undefined || !lengthValue.test(value)) {
        throw new AnswerProblem('the Content-Length of the answer is malformed')
      }
      framing.contentLength = Number(value)
      break
    case 'transfer-encoding':
      // Any other coding would reach the client without its name.
      if (framing.isChunked || !isHttp11 || value.toLowerCase() !== 'chunked') {
        throw new AnswerProblem('the Transfer-Encoding of the answer is not supported')
      }
      framing.isChunked = true
      break
    case 'connection':
    // RFC 9112 §C.2.2: no field of HTTP, but some upstreams send it and mean it.
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
