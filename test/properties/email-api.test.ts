import { randomUUID } from 'node:crypto'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, onTestFinished } from 'vitest'
import { startHttpGateway } from '../helpers/http-gateway.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { type RawAnswer, rawHttp } from '../helpers/raw-http.ts'
import { cut, guarantee, inTime } from './property.ts'

/** Email APIs that answer anything. */

const token = '4c2446b6e0f911ec94870a58a9feac02'

/** The answer to one request, in bytes. */
interface Misdeed {
  readonly statusLine: string
  readonly fields: readonly string[]
  readonly body: string
  /** Written behind it without being asked. */
  readonly adds: string
  readonly cuts: readonly number[]
  /** The Email API hangs up after so many bytes. */
  readonly closesAfter: number | null
  /** It answers as soon as the header section of the request is there. */
  readonly isEarly: boolean
}

const code = fc.oneof(
  fc.constantFrom(
    '200',
    '202',
    '204',
    '304',
    '400',
    '401',
    '407',
    '429',
    '500',
    '100',
    '101',
    '103',
  ),
  fc.integer({ min: 0, max: 1_200 }).map(String),
)
const statusLine = fc.oneof(
  { weight: 6, arbitrary: code.map((status) => `HTTP/1.1 ${status} OK`) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom('HTTP/1.1 ', 'HTTP/1.0 ', 'HTTP/2 ', 'HTTP/1.1', 'ICY ', ''),
        code,
        fc.constantFrom(' OK', ' ', '', ' \u0001', ' ü'),
      )
      .map((parts) => parts.join('')),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('250 Ok', '', '\0', 'GET / HTTP/1.1', '{"success":true}'),
  },
)
const field = fc.oneof(
  fc.constantFrom(
    ...[
      'Content-Length: 0',
      'Content-Length: 5',
      'Content-Length: 99999',
      'Content-Length: -1',
      'Content-Length: x',
    ],
    ...[
      'Content-Length: 5, 5',
      'Content-Length: 18446744073709551617',
      'Transfer-Encoding: chunked',
    ],
    ...[
      'Transfer-Encoding: gzip, chunked',
      'Transfer-Encoding: identity',
      'Content-Encoding: gzip',
    ],
    ...[
      'Connection: close',
      'Connection: keep-alive',
      'Connection: upgrade',
      'Upgrade: websocket',
      'Trailer: x',
    ],
    ...[
      'Keep-Alive: timeout=0',
      'Keep-Alive: timeout=x',
      'Set-Cookie: a=b',
      'Set-Cookie: c=d',
      'Location: /x',
    ],
    ...[
      'Postern-Token-Id: 7',
      'X-Request-Id: mine',
      'Date: yesterday',
      'X : y',
      ' folded',
      ': x',
      'no colon',
    ],
    ...[
      'X: \u0001',
      'X: \0',
      'X: ü',
      'X: a\rb',
      'X: a\nY: b',
      'Sunset: never',
      '__proto__: x',
      'Content-Type: a\tb',
    ],
  ),
  fc
    .tuple(fc.string({ maxLength: 10 }), fc.string({ unit: 'binary', maxLength: 20 }))
    .map((p) => p.join(': ')),
  fc.constant(`X-Long: ${'x'.repeat(20_000)}`),
)
const body = fc.oneof(
  fc.constantFrom(
    '',
    'hello',
    '{"success":true}',
    '5\r\nhello\r\n0\r\n\r\n',
    '5\r\nhello\r\n',
    'zz\r\n',
    '0\r\nX: y\r\n\r\n',
  ),
  fc.string({ unit: 'binary' }),
)
const strange: fc.Arbitrary<Misdeed> = fc.record({
  statusLine,
  ...{ fields: fc.array(field, { maxLength: 4 }), body },
  adds: fc.oneof(
    { weight: 4, arbitrary: fc.constant('') },
    {
      weight: 1,
      arbitrary: fc.constantFrom('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother', '\r\n', 'x'),
    },
  ),
  cuts: fc.array(fc.nat(200), { maxLength: 4 }),
  // Most hang up in the end: one that only goes silent costs the whole time that a gate waits.
  closesAfter: fc.oneof(
    { weight: 8, arbitrary: fc.constant(30_000) },
    { weight: 4, arbitrary: fc.nat(120) },
    { weight: 1, arbitrary: fc.constant(null) },
  ),
  isEarly: fc.boolean(),
})

/** An answer that is as it should be, and ends too early. */
const brokenOff: fc.Arbitrary<Misdeed> = fc
  .tuple(fc.constantFrom('200', '202', '400'), fc.nat(40), fc.array(fc.nat(100), { maxLength: 2 }))
  .chain(([status, missing, cuts]) => {
    const length = { fields: ['Content-Length: 41'], body: 'x'.repeat(40 - missing) }
    const chunked = {
      fields: ['Transfer-Encoding: chunked'],
      body: `5\r\nhello\r\n${missing < 20 ? '5\r\nhe' : ''}`,
    }
    const common = {
      statusLine: `HTTP/1.1 ${status} OK`,
      adds: '',
      cuts,
      closesAfter: 30_000,
      isEarly: false,
    }
    return fc.constantFrom({ ...common, ...length }, { ...common, ...chunked })
  })
const misdeed = fc.oneof({ weight: 4, arbitrary: strange }, { weight: 1, arbitrary: brokenOff })

/** A whole answer of the gate is an answer that came whole, or the gate's own. */
function isBrokenOff({ statusLine: line, fields, body: sent, closesAfter }: Misdeed): boolean {
  if (!/^HTTP\/1\.1 (200|202|400) OK$/.test(line) || fields.length !== 1 || closesAfter === null)
    return false
  const [field] = fields
  return (
    field === 'Content-Length: 41' ||
    (field === 'Transfer-Encoding: chunked' && !sent.includes('0\r\n'))
  )
}

/** An Email API of bare sockets; it answers well unless it has been told otherwise. */
async function startRudeEmailApi() {
  const misdeeds: Misdeed[] = []
  const seen: string[] = []
  const open = new Set<Socket>()

  function serve(socket: Socket) {
    let received = ''
    let answered = false
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
      const head = received.indexOf('\r\n\r\n')
      if (head < 0) return
      if (!answered && misdeeds[0]?.isEarly) {
        answered = true
        void misbehave(socket, misdeeds.shift())
      }
      const length = Number(/^content-length: (\d+)$/im.exec(received)?.[1] ?? 0)
      if (received.length < head + 4 + length) return
      const request = received.slice(0, head + 4 + length)
      received = received.slice(request.length)
      seen.push(request)
      if (!answered) {
        if (misdeeds.length > 0) void misbehave(socket, misdeeds.shift())
        else answerWell(socket, request)
      }
      answered = false
    })
  }

  async function misbehave(socket: Socket, said: Misdeed | undefined) {
    if (said === undefined) return
    const { closesAfter } = said
    const text = `${[said.statusLine, ...said.fields].join('\r\n')}\r\n\r\n${said.body}${said.adds}`
    const bytes = Buffer.from(text).subarray(0, closesAfter ?? Infinity)
    for (const piece of cut(bytes, said.cuts)) {
      if (socket.destroyed) return
      socket.write(piece)
      await nextTurn()
    }
    if (closesAfter !== null) socket.destroySoon()
  }

  function answerWell(socket: Socket, request: string) {
    const id = /"id":"([^"]+)"/.exec(request)?.[1]
    const text = JSON.stringify({ success: true, message_ids: [id] })
    socket.write(
      `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    )
  }

  const server = createServer({ noDelay: true }, serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, misdeeds, seen }
}

async function start() {
  const lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test'])
  const upstream = await startRudeEmailApi()
  const gate = await startHttpGateway(lookup, upstream.url, { upstreamTimeoutMs: 300 })
  onTestFinished(() => gate.close())
  return { upstream, gate }
}
let started: ReturnType<typeof start> | undefined

/** The answer as it came over the wire; undefined when it was broken off. */
async function send(url: string, id: string): Promise<RawAnswer | undefined> {
  const text = JSON.stringify({
    from: { email: 'a@ok.test' },
    to: [],
    subject: 'x',
    custom_variables: { id },
  })
  const request = [
    'POST /api/send HTTP/1.1',
    'Host: gate.test',
    `Authorization: Bearer ${token}`,
    'Content-Type: application/json',
    `Content-Length: ${text.length}`,
    '',
    text,
  ].join('\r\n')
  const [answer] = await inTime(rawHttp(url, request), 'a request')
  return answer
}

guarantee(
  'whatever the Email API answers, its client is told that, or 502, 504, or nothing whole; the next one is served',
  { runs: 150, input: fc.array(misdeed, { minLength: 1, maxLength: 2 }) },
  async (script) => {
    started ??= start()
    const { upstream, gate } = await started
    upstream.misdeeds.push(...script)
    upstream.seen.length = 0
    for (const said of script) {
      const id = randomUUID()
      const answer = await send(gate.url, id)
      if (answer === undefined) continue
      const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(said.statusLine)?.[1])
      // What it wrote without being asked, after "100 Continue" for one, is its answer too.
      expect([status, 502, 504, ...(said.adds === '' ? [] : [200])]).toContain(answer.status)
      if (isBrokenOff(said)) expect([502, 504]).toContain(answer.status)
      if (status === 401 || status === 407) expect([502, 504]).toContain(answer.status)
      expect(answer.headers['cache-control'] ?? 'no-store').toContain('no-store')
      expect(answer.headers['postern-token-id']).toBeUndefined()
    }
    // A request is never sent twice to one who may have acted on it.
    for (const request of upstream.seen) {
      expect(upstream.seen.filter((one) => one === request)).toHaveLength(1)
    }

    upstream.misdeeds.length = 0
    const id = randomUUID()
    const good = await send(gate.url, id)
    expect(good?.status).toBe(200)
    expect(JSON.parse(good?.body ?? '')).toEqual({ success: true, message_ids: [id] })
  },
)
