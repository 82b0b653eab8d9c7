import { connect } from 'node:net'
import { noteFirstAnswer } from './answer-log.ts'

/** One answer as it came over the wire. */
export interface RawAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/**
 * Writes bytes to an HTTP server and reads until it closes, or until as many answers are complete as are wanted. Nothing
 * about the request is corrected on the way.
 */
export function rawHttp(
  url: string,
  request: string | readonly (string | Buffer)[],
  { answers = 1, timeoutMs = 10_000 } = {},
): Promise<readonly RawAnswer[]> {
  const { hostname, port } = new URL(url)
  const parts = typeof request === 'string' ? [request] : request
  const isHead = String(parts[0]).startsWith('HEAD ')
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), noDelay: true })
    let received = Buffer.alloc(0)
    const deadline = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no answer in ${timeoutMs} ms; so far: ${received.toString('latin1')}`))
    }, timeoutMs)

    function finish() {
      clearTimeout(deadline)
      socket.destroy()
      const read = readAnswers(received, isHead)
      noteFirstAnswer(parts.join(''), read[0])
      resolve(read)
    }
    socket.on('connect', () => {
      for (const part of parts) {
        const bytes = typeof part === 'string' ? Buffer.from(part) : part
        socket.write(bytes)
      }
    })
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (readAnswers(received, isHead).length >= answers) finish()
    })
    socket.on('close', finish)
    // A reset after the answer is how a server refuses to read on.
    socket.on('error', finish)
  })
}

/** The complete answers at the start of the bytes; informational ones are passed over. */
export function readAnswers(bytes: Buffer, isHead = false): RawAnswer[] {
  const answers: RawAnswer[] = []
  let rest = bytes
  for (;;) {
    const headEnd = rest.indexOf('\r\n\r\n')
    if (headEnd < 0) return answers
    const [statusLine = '', ...lines] = rest.subarray(0, headEnd).toString('latin1').split('\r\n')
    const status = Number(statusLine.split(' ')[1])
    const headers: Record<string, string> = {}
    for (const line of lines) {
      const colon = line.indexOf(':')
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim()
    }
    const body = rest.subarray(headEnd + 4)
    if (status < 200) {
      rest = body
      continue
    }
    // RFC 9112 §6.3: 204, 304 and answers to HEAD end with their header section, whatever it says.
    const isBodiless = isHead || status === 204 || status === 304
    const length = isBodiless ? 0 : Number(headers['content-length'] ?? 0)
    if (!isBodiless && headers['transfer-encoding'] === 'chunked') {
      const end = body.indexOf('0\r\n\r\n')
      if (end < 0) return answers
      answers.push({ status, headers, body: body.subarray(0, end).toString() })
      rest = body.subarray(end + 5)
      continue
    }
    if (body.length < length) return answers
    answers.push({ status, headers, body: body.subarray(0, length).toString() })
    rest = body.subarray(length)
  }
}
