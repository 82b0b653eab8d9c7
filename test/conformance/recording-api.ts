import { type AddressInfo, createServer, type Socket } from 'node:net'

/** A request exactly as its bytes reached the Email API. */
export interface RecordedRequest {
  readonly line: string
  /** Names in lower case, with `_` read as `-`: programs behind the CGI convention cannot tell (RFC 3875 §4.1.18). */
  readonly fields: readonly (readonly [string, string])[]
  readonly body: Buffer
}

/**
 * An Email API that reads the plainest form of HTTP only, by itself and not by Node's parser: what it does not understand
 * another server might understand in another way.
 */
export interface RecordingApi {
  readonly url: string
  readonly requests: RecordedRequest[]
  /** What was not of the plainest form. */
  readonly complaints: string[]
  close(): Promise<void>
}

/** Fields that belong to the client's own hop, or to the gate alone. */
const neverForwarded = [
  'transfer-encoding',
  'te',
  'trailer',
  'upgrade',
  'expect',
  'keep-alive',
  'proxy-connection',
  'http2-settings',
  'authorization',
  'api-token',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-rewrite-url',
  'forwarded',
  'via',
  'x-real-ip',
  'sec-websocket-key',
  'sec-websocket-version',
]
const oncePerRequest = [
  'host',
  'postern-assertion',
  'postern-account-id',
  'postern-token-id',
  'x-forwarded-for',
]

const answer = '{"success":true,"message_ids":["1"]}'

export async function startRecordingApi(): Promise<RecordingApi> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (socket) => {
    let buffered = Buffer.alloc(0)
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      if (buffered.length > 0) api.complaints.push(`half a request: ${buffered}`)
    })
    socket.on('data', (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk])
      for (;;) {
        const taken = take(buffered)
        if (taken === 0) return
        buffered = buffered.subarray(taken)
        socket.write(
          `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`,
        )
      }
    })
  })

  /** Records the request at the start of the bytes; answers how long it was, 0 when it is not complete. */
  function take(bytes: Buffer): number {
    const headEnd = bytes.indexOf('\r\n\r\n')
    if (headEnd < 0) return 0
    const head = bytes.subarray(0, headEnd).toString('latin1')
    const [line = '', ...lines] = head.split('\r\n')
    const fields = lines.map((text): readonly [string, string] => {
      const colon = text.indexOf(':')
      return [text.slice(0, colon).toLowerCase().replaceAll('_', '-'), text.slice(colon + 1).trim()]
    })
    const valuesOf = (name: string) => fields.filter(([key]) => key === name).map(([, v]) => v)
    const [length = ''] = valuesOf('content-length')
    const end = headEnd + 4 + Number(length)
    if (bytes.length < end) return 0

    function complainUnless(holds: boolean, what: string) {
      if (!holds) api.complaints.push(`${what}: ${JSON.stringify(head)}`)
    }
    complainUnless(
      /^(POST \/api\/(send|batch)(\/\d+)?|GET \/api\/templates\/\d+) HTTP\/1\.1$/.test(line),
      'a line that is no route',
    )
    complainUnless(!/[^\x20-\x7e\t\r\n\x80-\xff]|\r(?!\n)|[^\r]\n/.test(head), 'a stray character')
    complainUnless(
      lines.every((text) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+:/.test(text)),
      'no field',
    )
    complainUnless(valuesOf('content-length').length < 2, 'two lengths')
    complainUnless(/^\d+$/.test(length) || line.startsWith('GET '), 'no length')
    const [encoding = 'identity'] = valuesOf('content-encoding')
    complainUnless(encoding === 'identity', 'a compressed body')
    for (const name of oncePerRequest) {
      complainUnless(valuesOf(name).length === 1, `not exactly one ${name}`)
    }
    for (const name of neverForwarded) complainUnless(valuesOf(name).length === 0, `a ${name}`)
    api.requests.push({ line, fields, body: bytes.subarray(headEnd + 4, end) })
    return end
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const api: RecordingApi = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests: [],
    complaints: [],
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return api
}
