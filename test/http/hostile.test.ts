import { once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startHttpGateway, type TestHttpGateway } from '../helpers/http-gateway.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { type RawAnswer, rawHttp } from '../helpers/raw-http.ts'
import { type ScriptedEmailApi, startScriptedEmailApi } from '../helpers/scripted-email-api.ts'

/** Requests as hostile and odd clients write them: none gets through that should not, and none hangs or is a 500. */

const token = '4c2446b6e0f911ec94870a58a9feac02'
const body = '{"from":{"email":"a@example.com"},"to":[{"email":"b@c.test"}],"text":"x"}'

let upstream: ScriptedEmailApi
let gate: TestHttpGateway

beforeAll(async () => {
  const lookup = createMemoryLookup()
  lookup.allow(token, ['example.com'])
  upstream = await startScriptedEmailApi()
  gate = await startHttpGateway(lookup, upstream.url, {
    maxBodyBytes: 100_000,
    routes: [{ method: 'GET', path: '/api/templates/{id}', check: 'authenticated' }],
  })
})
beforeEach(() => {
  upstream.seen.length = 0
})
afterAll(async () => {
  await upstream.close()
  await gate.close()
})

interface Odd {
  readonly line?: string
  readonly host?: string
  readonly credential?: string
  readonly type?: string
  readonly more?: string
  readonly length?: string
  readonly body?: string | Buffer
}

/** A good request, odd in what the test says. */
async function ask(odd: Odd): Promise<RawAnswer> {
  const sent = odd.body ?? body
  const head = [
    odd.line ?? 'POST /api/send HTTP/1.1',
    odd.host ?? 'Host: gate.test',
    odd.credential ?? `Authorization: Bearer ${token}`,
    odd.type ?? 'Content-Type: application/json',
    odd.length ?? `Content-Length: ${Buffer.byteLength(sent)}`,
  ].filter((line) => line !== '')
  const [answer] = await rawHttp(gate.url, [`${head.join('\r\n')}\r\n${odd.more ?? ''}\r\n`, sent])
  if (answer === undefined) throw new Error('the connection was closed without an answer')
  return answer
}

function sendRequest() {
  return `POST /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
}

/** A client that writes this, and keeps its side open whatever the server does. */
function hold(parts: readonly (string | Buffer)[]) {
  const { hostname, port } = new URL(gate.url)
  const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true })
  let received = ''
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  for (const part of parts) socket.write(part)
  const statuses = () =>
    [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, code]) => Number(code))
  return {
    socket,
    statuses,
    /** The server has closed its side. */
    ended: new Promise((resolve) => socket.once('end', resolve).once('close', resolve)),
    /** The connection is gone. */
    closed: new Promise((resolve) => socket.once('close', resolve)),
    async answered(count: number) {
      while (statuses().length < count) await once(socket, 'data')
    },
  }
}

function expectRefusal(answer: RawAnswer, status: number) {
  expect(answer.status).toBe(status)
  expect(answer.headers['content-type']).toContain('application/json')
  const parsed = JSON.parse(answer.body)
  expect(parsed.success).toBe(false)
  expect(parsed.errors.length).toBeGreaterThan(0)
  for (const error of parsed.errors) expect(error).toEqual(expect.any(String))
  expect(upstream.seen).toEqual([])
}

test('the request that all others are variations of is accepted', async () => {
  expect((await ask({})).status).toBe(200)
  expect(upstream.seen).toHaveLength(1)
})

describe('a path that is not exactly a route is 404', () => {
  test.each([
    '/',
    '/api',
    '/api/',
    '/api/send/',
    '//api/send',
    '/api//send',
    '/./api/send',
    '/api/./send',
    '/api/../api/send',
    '/api/x/../send',
    '/api%2fsend',
    '/api/%73end',
    '/API/SEND',
    '/api/Send',
    '/api/send;x',
    '/api/send;jsessionid=1',
    '/api\\send',
    '/api/send%00',
    '/api/send%20',
    '/api/send%3f',
    '/api/send#x',
    '/api/send/1x',
    '/api/send/-1',
    '/api/send/1/2',
    '/api/send/%31',
    '/api/send/１',
    '/api/send/99999999999999999999',
    '/api/batch/1/',
    '/api/sendx',
    '/xapi/send',
    '/api/batchsend',
    '/metrics',
    '/livez',
    '/readyz',
    '/.well-known/jwks.json',
    '/api/api_tokens',
    'http://gate.test/api/send',
    'http://evil.test/api/send',
    '*',
  ])('%s', async (path) => {
    const answer = await ask({ line: `POST ${path} HTTP/1.1` })
    expect([400, 404]).toContain(answer.status)
    expectRefusal(answer, answer.status)
  })

  test.each(['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'TRACE', 'PROPFIND', 'post'])(
    'by method %s',
    async (method) => {
      const [answer] = await rawHttp(
        gate.url,
        `${method} /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
      )
      expect([400, 404]).toContain(answer?.status)
      expect(upstream.seen).toEqual([])
    },
  )

  test('by CONNECT', async () => {
    const [answer] = await rawHttp(gate.url, 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n')
    expect(answer?.status).toBe(404)
  })
})

describe('a credential that is not exactly one is 400', () => {
  test.each([
    [`Authorization: Bearer ${token}\r\nAuthorization: Bearer ${token}`],
    [`Authorization: Bearer ${token}\r\nApi-Token: ${token}`],
    [`Api-Token: ${token}\r\napi-token: ${token}`],
    [`Authorization: Bearer ${token}\r\nAPI-TOKEN: wrong`],
    [`Authorization: Basic eA==\r\nAuthorization: Bearer ${token}`],
  ])('%j', async (credential) => {
    expectRefusal(await ask({ credential }), 400)
  })

  test.each([
    '?token=x',
    '?api_token=x',
    '?access_token=x',
    '?a=1&token=',
    '?%74oken=x',
    '?TOKEN=x',
  ])('in the query %s', async (query) => {
    expectRefusal(await ask({ line: `POST /api/send${query} HTTP/1.1` }), 400)
  })
})

describe('a credential that is none is 401', () => {
  test.each([
    [''],
    ['Authorization: Bearer'],
    ['Authorization: Bearer '],
    [`Authorization: ${token}`],
    [`Authorization: Token ${token}`],
    [`Authorization: BearerX ${token}`],
    [`Authorization: Bearer ${token} ${token}`],
    [`Authorization: Bearer ${token},`],
    [`Authorization: Bearer "${token}"`],
    [`Authorization: Bearer ${token}x`],
    [`Authorization: Bearer ${token.toUpperCase()}`],
    [`Authorization: Bearer ${token.slice(1)}`],
    ['Api-Token:'],
    ['Authorization: Bearer \xfftoken'],
    [`X-Api-Token: ${token}`],
    [`Cookie: token=${token}`],
  ])('%j', async (credential) => {
    const answer = await ask({ credential })
    expectRefusal(answer, 401)
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer/)
  })
})

describe('a content type that is not JSON in UTF-8 is 415', () => {
  test.each([
    [''],
    ['Content-Type: text/plain'],
    ['Content-Type: application/x-www-form-urlencoded'],
    ['Content-Type: multipart/form-data; boundary=x'],
    ['Content-Type: application/json; charset=utf-16'],
    ['Content-Type: application/json; charset=iso-8859-1'],
    ['Content-Type: application/json, text/plain'],
    ['Content-Type: application/json\r\nContent-Type: application/json'],
    ['Content-Type: application/jsonx'],
    ['Content-Type: application/vnd.api+json'],
    ['Content-Type: application/json\r\nContent-Encoding: gzip'],
    ['Content-Type: application/json\r\nContent-Encoding: identity, gzip'],
    ['Content-Type: application/json\r\nContent-Encoding: identity\r\nContent-Encoding: br'],
  ])('%j', async (type) => {
    expectRefusal(await ask({ type }), 415)
  })

  test.each([
    'application/json',
    'Application/JSON',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'application/json; charset="utf-8"',
    'application/json;',
  ])('but %s is accepted', async (type) => {
    expect((await ask({ type: `Content-Type: ${type}` })).status).toBe(200)
  })
})

describe('framing that two servers could read differently is 400', () => {
  test.each([
    ['two Host fields', { host: 'Host: a\r\nHost: a' }],
    ['no Host field', { host: '' }],
    ['an empty Host', { host: 'Host: ' }],
    ['a port without a host', { host: 'Host: :80' }],
    ['an empty port', { host: 'Host: a:' }],
    ['a port that there is not', { host: 'Host: a:99999' }],
    ['an escape in a host', { host: 'Host: s%61ndbox.test' }],
    ['half an escape in a host', { host: 'Host: a%zz' }],
    ['an IPv6 literal in another form', { host: 'Host: [0:0:0:0:0:0:0:1]' }],
    ['an IPv6 literal that is none', { host: 'Host: [1::2::3]' }],
    ['two lengths', { more: 'Content-Length: 3\r\n' }],
    ['two equal lengths', { more: `Content-Length: ${body.length}\r\n` }],
    ['a length and chunks', { more: 'Transfer-Encoding: chunked\r\n' }],
    ['a negative length', { length: 'Content-Length: -1' }],
    ['a length with a plus', { length: 'Content-Length: +5' }],
    ['a length in hex', { length: 'Content-Length: 0x10' }],
    ['an unknown transfer encoding', { length: 'Transfer-Encoding: xchunked' }],
    ['a space before the colon', { length: `Content-Length : ${body.length}` }],
    ['a folded field', { more: 'X-Fold: a\r\n b\r\n' }],
    ['a field without a colon', { more: 'nonsense\r\n' }],
    ['a bare line feed', { more: 'X: a\nY: b\r\n' }],
    ['a NUL in a field', { more: 'X: a\0b\r\n' }],
    ['chunk sizes that are none', { length: 'Transfer-Encoding: chunked', body: 'zz\r\n\r\n' }],
    [
      'a chunk without its end',
      { length: 'Transfer-Encoding: chunked', body: '1\r\nab\r\n0\r\n\r\n' },
    ],
    ['another protocol version', { line: 'POST /api/send HTTP/9.9' }],
  ] satisfies [string, Odd][])('%s', async (_name, odd) => {
    expectRefusal(await ask(odd), 400)
  })

  test('but chunks are accepted, and forwarded with a length', async () => {
    const answer = await ask({
      length: 'Transfer-Encoding: chunked',
      body: `${body.length.toString(16)};ext=1\r\n${body}\r\n0\r\nX-Trailer: 1\r\n\r\n`,
    })
    expect(answer.status).toBe(200)
    expect(upstream.seen[0]?.headers['content-length']).toBe(String(body.length))
    expect(upstream.seen[0]?.headers['transfer-encoding']).toBeUndefined()
    expect(upstream.seen[0]?.body.toString()).toBe(body)
  })
})

describe('a body that two parsers could read differently is 400', () => {
  const from = (email: string) => `"from":{"email":"${email}"}`
  test.each([
    ['two senders', `{${from('a@example.com')},${from('a@evil.test')}}`],
    [
      'two senders, one with an escape',
      `{${from('a@example.com')},"fr\\u006fm":{"email":"a@evil.test"}}`,
    ],
    ['two spellings', `{${from('a@example.com')},"From":{"email":"a@evil.test"}}`],
    ['another spelling alone', '{"FROM":{"email":"a@example.com"}}'],
    ['two addresses', '{"from":{"email":"a@example.com","email":"a@evil.test"}}'],
    ['two spellings of the address', '{"from":{"email":"a@example.com","Email":"a@evil.test"}}'],
    [
      'a dotless i in the address key',
      '{"from":{"email":"a@example.com","ema\\u0131l":"a@evil.test"}}',
    ],
    [
      'a dotted capital I in the address key',
      '{"from":{"email":"a@example.com","EMA\u0130L":"a@evil.test"}}',
    ],
    ['a key with a NUL', `{${from('a@example.com')},"from\\u0000":{"email":"a@evil.test"}}`],
    ['__proto__', `{${from('a@example.com')},"__proto__":{${from('a@evil.test')}}}`],
    ['a byte-order mark', `\ufeff{${from('a@example.com')}}`],
    ['bytes after the end', `{${from('a@example.com')}}{${from('a@evil.test')}}`],
    ['an array', `[{${from('a@example.com')}}]`],
    ['a string', '"x"'],
    ['nothing', ''],
    ['half of it', `{${from('a@example.com')}`],
    ['a comment', `{${from('a@example.com')}/* x */}`],
    ['a trailing comma', `{${from('a@example.com')},}`],
    ['single quotes', "{'from':{'email':'a@example.com'}}"],
    ['no sender', '{"subject":"x"}'],
    ['a sender that is null', '{"from":null}'],
    ['a sender that is text', '{"from":"a@example.com"}'],
    ['a sender that is a list', '{"from":[{"email":"a@example.com"}]}'],
    ['a From among the headers', `{${from('a@example.com')},"headers":{"From":"a@evil.test"}}`],
    ['a Sender among the headers', `{${from('a@example.com')},"headers":{"sender":"a@evil.test"}}`],
    ['an escaped From header', `{${from('a@example.com')},"headers":{"Fr\\u006fm":"a@evil.test"}}`],
    [
      'a line end in a header',
      `{${from('a@example.com')},"headers":{"X":"1\\r\\nFrom: a@evil.test"}}`,
    ],
    ['a line end in a header name', `{${from('a@example.com')},"headers":{"X: 1\\r\\nFrom":"a"}}`],
    ['a line end in the subject', `{${from('a@example.com')},"subject":"x\\nFrom: a@evil.test"}`],
    ['a line end in the name', '{"from":{"email":"a@example.com","name":"x\\r\\nBcc: y"}}'],
    ['a line end in a recipient', `{${from('a@example.com')},"to":[{"email":"b@c.d\\r\\nX: y"}]}`],
    ['a NUL in the subject', `{${from('a@example.com')},"subject":"x\\u0000"}`],
    ['two at signs', `{${from('a@example.com@evil.test')}}`],
    ['an angle address', `{${from('x <a@example.com>')}}`],
    ['a list', `{${from('a@example.com,b@evil.test')}}`],
    ['a trailing dot', `{${from('a@example.com.')}}`],
    ['a literal', `{${from('a@[127.0.0.1]')}}`],
    ['a route', `{${from('@evil.test:a@example.com')}}`],
    ['a space', `{${from(' a@example.com')}}`],
    ['a percent sign in the domain', `{${from('a@ex%61mple.com')}}`],
    ['no domain', `{${from('a')}}`],
  ])('%s', async (_name, text) => {
    expectRefusal(await ask({ body: text }), 400)
  })

  test('invalid UTF-8', async () => {
    const bytes = Buffer.concat([
      Buffer.from('{"x":"'),
      Buffer.from([0xff]),
      Buffer.from(`",${from('a@example.com')}}`),
    ])
    expectRefusal(await ask({ body: bytes }), 400)
  })

  test('UTF-16', async () => {
    expectRefusal(await ask({ body: Buffer.from(`{${from('a@example.com')}}`, 'utf16le') }), 400)
  })

  test.each([
    [
      'keys in another order',
      '{"text":"x","to":[{"email":"b@c.test"}],"from":{"name":"A","email":"a@example.com"}}',
    ],
    [
      'nulls and empty lists',
      '{"from":{"email":"a@example.com"},"cc":[],"text":null,"html":null,"headers":null}',
    ],
    ['an escaped key', '{"fr\\u006fm":{"email":"a@example.com"}}'],
    ['a domain in capitals', '{"from":{"email":"a@EXAMPLE.com"}}'],
    ['an escaped address', '{"from":{"email":"\\u0061@example.com"}}'],
    ['names beyond ASCII', '{"from":{"email":"a@example.com","name":"Grüße 🚪"}}'],
    [
      'custom headers',
      '{"from":{"email":"a@example.com"},"headers":{"X-Id":"1","Reply-To":"x@y.test"}}',
    ],
    [
      'nested variables',
      '{"from":{"email":"a@example.com"},"template_variables":{"from":{"email":"x"},"a":[1,{"b":null}]}}',
    ],
    ['line ends in the text', '{"from":{"email":"a@example.com"},"text":"a\\r\\nb\\u0000"}'],
    [
      'the same unknown key twice',
      '{"from":{"email":"a@example.com"},"custom_variables":{"a":"1","a":"2"}}',
    ],
    ['white space', ' \t\r\n{ "from" : { "email" : "a@example.com" } } \n'],
  ])('but %s is accepted', async (_name, text) => {
    const answer = await ask({ body: text })
    expect(answer.body).toContain('"success":true')
    expect(upstream.seen[0]?.body.toString()).toBe(text)
  })
})

describe('a body over the limit is 413', () => {
  test('by its length, before it is read', async () => {
    const [answer] = await rawHttp(
      gate.url,
      `POST /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 100001\r\n\r\n`,
    )
    expect(answer?.status).toBe(413)
  })

  test('as its chunks arrive', async () => {
    const chunk = `8000\r\n${' '.repeat(0x8000)}\r\n`
    expectRefusal(await ask({ length: 'Transfer-Encoding: chunked', body: chunk.repeat(4) }), 413)
  })

  test('and a header over the limit is 431', async () => {
    expectRefusal(await ask({ more: `X-Long: ${'x'.repeat(40_000)}\r\n` }), 431)
  })
})

describe('a connection stays usable, or is closed', () => {
  test('after an early refusal the rest of the body is no request', async () => {
    const inner = `POST /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const answers = await rawHttp(
      gate.url,
      [
        `POST /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nContent-Length: ${inner.length}\r\n\r\n`,
        inner,
        'GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
      ],
      { answers: 3, timeoutMs: 5_000 },
    )
    expect(answers.map(({ status }) => status)).toEqual([401, 404])
    expect(upstream.seen).toEqual([])
  })

  test('pipelined requests are answered in order', async () => {
    const one = `POST /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    const answers = await rawHttp(gate.url, one.repeat(3), { answers: 3 })
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(upstream.seen).toHaveLength(3)
  })

  test('Expect: 100-continue is answered when the credential is good', async () => {
    const answer = await ask({ more: 'Expect: 100-continue\r\n' })
    expect(answer.status).toBe(200)
    expect(upstream.seen[0]?.headers.expect).toBeUndefined()
  })

  test('Expect: 100-continue costs no connection where the body comes at once', async () => {
    const one = sendRequest().replace('\r\n', '\r\nExpect: 100-continue\r\n')
    const client = hold([one.repeat(3)])
    await client.answered(6)
    expect(client.statuses()).toEqual([100, 200, 100, 200, 100, 200])
    client.socket.destroy()
  })

  test('Expect: 100-continue with a bad credential is refused and closed, body unread', async () => {
    const [answer] = await rawHttp(
      gate.url,
      `POST /api/send HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n`,
    )
    expect(answer?.status).toBe(401)
    expect(answer?.headers.connection).toBe('close')
  })

  test('Expect: 100-continue of an HTTP/1.0 client is ignored', async () => {
    const client = hold([
      sendRequest().replace('HTTP/1.1', 'HTTP/1.0').replace('\r\n', '\r\nExpect: 100-continue\r\n'),
    ])
    await client.ended
    expect(client.statuses()).toEqual([200])
    client.socket.destroy()
  })

  test('another expectation is 417', async () => {
    expectRefusal(await ask({ more: 'Expect: the-unexpected\r\n' }), 417)
  })

  test('an upgrade is an ordinary request', async () => {
    const answer = await ask({ more: 'Connection: Upgrade\r\nUpgrade: websocket\r\n' })
    expect(answer.status).toBe(200)
    expect(upstream.seen[0]?.headers.upgrade).toBeUndefined()
  })

  test('HTTP/1.0 is answered', async () => {
    expect((await ask({ line: 'POST /api/send HTTP/1.0' })).status).toBe(200)
    upstream.seen.length = 0
    expectRefusal(await ask({ line: 'POST /api/send HTTP/1.0', host: '' }), 400)
  })

  test.each([
    ['nonsense\r\n\r\n', 400],
    ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    [
      `POST /api/send HTTP/1.1\r\nHost: a\r\nApi-Token: ${token}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n`,
      400,
    ],
  ])(
    '%j behind a whole request is refused after its answer, not instead of it',
    async (more, status) => {
      const answers = await rawHttp(gate.url, sendRequest() + more, { answers: 2 })
      expect(answers.map((answer) => answer.status)).toEqual([200, status])
      expect(upstream.seen).toHaveLength(1)
    },
  )

  test('a request that was refused early gets no second answer for the rest of its body', async () => {
    const client = hold([
      'POST /api/send HTTP/1.1\r\nHost: a\r\nApi-Token: wrong\r\nTransfer-Encoding: chunked\r\n\r\n',
    ])
    await client.answered(1)
    client.socket.write('zz\r\n')
    await client.ended
    expect(client.statuses()).toEqual([401])
  })

  test.each([
    ['by its credential', 'Api-Token: wrong\r\nContent-Length: 1000000000'],
    [
      'by its length',
      `Api-Token: ${token}\r\nContent-Type: application/json\r\nContent-Length: 1000000000`,
    ],
    ['for its credential, in chunks', 'Api-Token: wrong\r\nTransfer-Encoding: chunked'],
  ])('a body without end is cut off after the request was refused %s', async (_name, fields) => {
    const client = hold([`POST /api/send HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`])
    await client.answered(1)
    const piece = `8000\r\n${' '.repeat(0x8000)}\r\n`
    const sending = setInterval(() => client.socket.write(piece), 1)
    await client.closed
    clearInterval(sending)
    expect(client.socket.bytesWritten).toBeLessThan(1_000_000 + 100_000)
  })

  test('CONNECT and a reset do not end the process', async () => {
    for (let i = 0; i < 20; i++) {
      const { socket } = hold(['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'x'.repeat(i * 5_000)])
      await once(socket, 'connect')
      socket.resetAndDestroy()
    }
    expect((await ask({})).status).toBe(200)
  })

  test.each(['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'nonsense\r\n\r\n'])(
    'a client that was refused and stays is cut off: %j',
    async (request) => {
      const client = hold([request])
      await client.ended
      // Only a socket that the server has let go of answers with a reset.
      const nagging = setInterval(() => client.socket.write('x'), 50)
      await client.closed
      clearInterval(nagging)
    },
  )

  test('bytes that are no HTTP are 400', async () => {
    const [answer] = await rawHttp(
      gate.url,
      `${Buffer.from('16030100', 'hex').toString('latin1')}\r\n\r\n`,
    )
    expect(answer?.status).toBe(400)
  })
})

describe('a route for authenticated clients', () => {
  test('forwards a request without a body, and without its query', async () => {
    const [answer] = await rawHttp(
      gate.url,
      `GET /api/templates/5?x=1 HTTP/1.1\r\nHost: a\r\nApi-Token: ${token}\r\n\r\n`,
    )
    expect(answer?.status).toBe(200)
    expect(upstream.seen[0]).toMatchObject({ method: 'GET', url: '/api/templates/5' })
  })

  test('refuses a token that is not alive', async () => {
    const [answer] = await rawHttp(
      gate.url,
      'GET /api/templates/5 HTTP/1.1\r\nHost: a\r\nApi-Token: wrong\r\n\r\n',
    )
    expect(answer?.status).toBe(401)
    expect(upstream.seen).toEqual([])
  })
})
