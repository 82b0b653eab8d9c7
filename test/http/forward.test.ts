import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { bufferPool } from '../../middleware/buffer-pool.ts'
import { httpUpstream } from '../../src/setting-parsers.ts'
import { goodAnswer, startBareUpstream } from '../helpers/bare-upstream.ts'
import { startHttpGateway, type TestHttpGateway } from '../helpers/http-gateway.ts'
import { createMemoryLookup, type MemoryLookup } from '../helpers/memory-lookup.ts'
import { rawHttp } from '../helpers/raw-http.ts'
import {
  acceptMessage,
  type ScriptedEmailApi,
  startScriptedEmailApi,
} from '../helpers/scripted-email-api.ts'

const token = '4c2446b6e0f911ec94870a58a9feac02'
const message = {
  from: { email: 'hello@example.com', name: 'Hello' },
  to: [{ email: 'you@example.net' }],
  subject: 'Hello',
  text: 'It works.',
}

let lookup: MemoryLookup
let upstream: ScriptedEmailApi
let gate: TestHttpGateway

beforeEach(async () => {
  lookup = createMemoryLookup()
  lookup.allow(token, ['example.com', 'example.org'])
  lookup.allow('other-token', ['example.net'])
  upstream = await startScriptedEmailApi()
  gate = await startHttpGateway(lookup, upstream.url)
})
afterEach(async () => {
  await upstream.close()
  await gate.close()
})

function send(body: unknown, headers: Record<string, string> = {}, path = '/api/send') {
  return fetch(gate.url + path, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

describe('a message whose token administers its domain', () => {
  test('reaches the upstream byte for byte, and its answer comes back', async () => {
    const body = JSON.stringify(message, null, 2)
    const answer = await send(body)
    expect(answer.status).toBe(200)
    expect(await answer.json()).toEqual({
      success: true,
      message_ids: ['11111111-2222-4333-8444-555555555555'],
    })
    expect(upstream.seen).toHaveLength(1)
    expect(upstream.seen[0]?.body.toString()).toBe(body)
    expect(upstream.seen[0]).toMatchObject({ method: 'POST', url: '/api/send' })
  })

  test.each([
    ['Bearer', { authorization: `Bearer ${token}` }],
    ['bearer in lower case', { authorization: `bearer ${token}` }],
    ['BEARER with two spaces', { authorization: `BEARER  ${token}` }],
  ])('is accepted with the scheme written %s', async (_name, headers) => {
    expect((await send(message, headers)).status).toBe(200)
  })

  test('is accepted with Api-Token', async () => {
    const answer = await fetch(`${gate.url}/api/send`, {
      method: 'POST',
      headers: { 'api-token': token, 'content-type': 'application/json' },
      body: JSON.stringify(message),
    })
    expect(answer.status).toBe(200)
  })

  test('carries an assertion that the published keys verify', async () => {
    await send(message)
    const jws = String(upstream.seen[0]?.headers['postern-assertion'])
    const keys = createLocalJWKSet((await gate.keyRing.jwks()) as never)
    const { payload, protectedHeader } = await jwtVerify(jws, keys, {
      issuer: 'https://gate.test',
      audience: upstream.url,
    })
    expect(protectedHeader).toMatchObject({ alg: 'EdDSA', typ: 'JWT' })
    expect(payload).toMatchObject({
      sub: upstream.seen[0]?.headers['postern-token-id'],
      account_id: 1,
      senders: ['example.com'],
      protocol: 'http',
    })
    expect(Number(payload.exp) - Number(payload.iat)).toBe(60)
  })

  test('loses its credential and every forged or hop-by-hop field on the way', async () => {
    const body = JSON.stringify(message)
    await rawHttp(gate.url, [
      'POST /api/send?x=1 HTTP/1.1\r\n',
      'Host: gate.test\r\n',
      `Authorization: Bearer ${token}\r\n`,
      'Content-Type: application/json\r\n',
      'Connection: keep-alive, X-Private, Postern-Account-Id\r\n',
      'X-Private: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: websocket\r\n',
      'Postern-Assertion: forged\r\nPOSTERN-ACCOUNT-ID: 99\r\nPostern_Token_Id: 99\r\n',
      'X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil\r\nForwarded: for=1.2.3.4\r\n',
      'X-Request-Id: forged\r\nX-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\n',
      'X-Custom: kept\r\nUser-Agent: test\r\n',
      `Content-Length: ${body.length}\r\n\r\n`,
      body,
    ])
    const [seen] = upstream.seen
    expect(seen?.url).toBe('/api/send')
    const names = seen?.rawHeaders.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase())
    expect(names?.sort()).toEqual(
      [
        'connection',
        'content-length',
        'content-type',
        'host',
        'postern-account-id',
        'postern-assertion',
        'postern-token-id',
        'user-agent',
        'x-custom',
        'x-forwarded-for',
        'x-forwarded-host',
        'x-forwarded-proto',
        'x-request-id',
      ].sort(),
    )
    expect(seen?.headers).toMatchObject({
      'postern-account-id': '1',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'gate.test',
      'x-custom': 'kept',
    })
    expect(seen?.headers['x-request-id']).not.toBe('forged')
  })

  test('tells its sender when the token is in its reset window', async () => {
    const end = Date.now() + 3_600_000
    lookup.allow('reset-token', ['example.com'], { windowEndsAt: end })
    const answer = await send(message, { authorization: 'Bearer reset-token' })
    expect(answer.headers.get('sunset')).toBe(new Date(end).toUTCString())
    expect(answer.headers.get('deprecation')).toMatch(/^@\d+$/)
  })
})

describe('the sandbox routes', () => {
  test('are forwarded with their id, spelled by the gate', async () => {
    expect((await send(message, {}, '/api/send/42')).status).toBe(200)
    expect(upstream.seen[0]?.url).toBe('/api/send/42')
  })
})

test.each([
  'sandbox.test',
  'SANDBOX.test',
  'sandbox.test:8080',
  'sandbox.test.',
  'sandbox.test.:80',
])('the Host %s picks the sandbox and its Email API', async (host) => {
  const sandbox = await startScriptedEmailApi()
  const routed = await startHttpGateway(lookup, upstream.url, {
    upstreams: { transactional: httpUpstream(upstream.url), sandbox: httpUpstream(sandbox.url) },
    hosts: new Map([['sandbox.test', 'sandbox']]),
  })
  const body = JSON.stringify(message)
  await rawHttp(
    routed.url,
    `POST /api/send/1 HTTP/1.1\r\nHost: ${host}\r\nApi-Token: ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  expect(sandbox.seen).toHaveLength(1)
  expect(upstream.seen).toEqual([])
  await routed.close()
  await sandbox.close()
})

test('an answer loses the hop-by-hop fields and what only the gate may say', async () => {
  upstream.answer = (_request, response) =>
    response
      .writeHead(200, {
        'Postern-Token-Id': '9',
        Postern_Assertion: 'forged',
        'X-Request-Id': 'forged',
        'Cache-Control': 'public',
        Connection: 'close, X-Hop',
        'X-Hop': '1',
        'X-Kept': '1',
      })
      .end('{}')
  const { headers } = await send(message)
  for (const name of ['postern-token-id', 'postern_assertion', 'x-hop']) {
    expect(headers.get(name)).toBeNull()
  }
  expect(headers.get('x-request-id')).not.toBe('forged')
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('x-kept')).toBe('1')
})

describe('a message that may not be sent', () => {
  test.each([
    ['with a token that nobody has', { authorization: 'Bearer nobody' }, 401, 'Unauthorized'],
    [
      'with a token whose checksum is wrong',
      { authorization: 'Bearer pst_x' },
      401,
      'Unauthorized',
    ],
    ['without a token in another scheme', { authorization: 'Basic YTpi' }, 401, 'Unauthorized'],
    [
      'with a token of another domain',
      { authorization: 'Bearer other-token' },
      403,
      'Sending from domain example.com is not allowed for this API token',
    ],
  ])('%s is %s', async (_name, headers, status, sentence) => {
    const answer = await send(message, headers)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toContain('application/json')
    expect(answer.headers.get('www-authenticate')).toContain('Bearer')
    expect(await answer.json()).toEqual({ success: false, errors: [sentence] })
    expect(upstream.seen).toEqual([])
  })

  test('with a subdomain of its domain is 403', async () => {
    const answer = await send({ ...message, from: { email: 'a@mail.example.com' } })
    expect(answer.status).toBe(403)
  })

  test('with an expired token reads like one that was never issued', async () => {
    lookup.allow('expired-token', ['example.com'], { expiresAt: Date.now() })
    const expired = await send(message, { authorization: 'Bearer expired-token' })
    const unknown = await send(message, { authorization: 'Bearer unknown-token' })
    expect(expired.status).toBe(unknown.status)
    expect(await expired.text()).toBe(await unknown.text())
    expect(expired.headers.get('www-authenticate')).toBe(unknown.headers.get('www-authenticate'))
  })

  test('in a batch names each index, and nothing of the batch is forwarded', async () => {
    const batch = {
      base: { from: { email: 'a@example.com' }, subject: 'x' },
      requests: [
        { to: [{ email: 'x@y.test' }] },
        { from: { email: 'a@evil.test' } },
        { from: { email: 'a@example.org' } },
        { from: { email: 'a@example.net' } },
      ],
    }
    const answer = await send(batch, {}, '/api/batch')
    expect(answer.status).toBe(403)
    expect(await answer.json()).toEqual({
      success: false,
      errors: [
        'requests[1]: Sending from domain evil.test is not allowed for this API token',
        'requests[3]: Sending from domain example.net is not allowed for this API token',
      ],
    })
    expect(upstream.seen).toEqual([])
  })
})

describe('a body that comes in pieces while its token is looked up', () => {
  async function sendInPieces(first: string, second: string) {
    const found = Promise.withResolvers<void>()
    lookup.before = () => found.promise
    const arriving = nextRequest()
    const client = connect(Number(new URL(gate.url).port))
    onTestFinished(() => void client.destroy())
    client.write(
      `POST /api/send HTTP/1.1\r\nHost: a\r\nApi-Token: ${token}\r\nContent-Type: application/json\r\nContent-Length: ${first.length + second.length}\r\n\r\n${first}`,
    )
    const incoming = await arriving
    client.write(second)
    while (incoming.readableLength < first.length + second.length) await nextTurn()
    found.resolve()
    const [answer] = await once(client, 'data')
    return String(answer).slice('HTTP/1.1 '.length, 'HTTP/1.1 200'.length)
  }

  test('goes on whole', async () => {
    const body = JSON.stringify(message)
    expect(await sendInPieces(body.slice(0, 10), body.slice(10))).toBe('200')
    expect(upstream.seen.map((seen) => seen.body.toString())).toEqual([body])
  })

  test.each([
    ['no JSON', 'rubbish'],
    ['another sender', ',"from":{"email":"a@evil.test"}}'],
  ])('is refused where %s follows a whole message', async (_, rest) => {
    expect(await sendInPieces(JSON.stringify(message), rest)).toBe('400')
    expect(upstream.seen).toEqual([])
  })
})

/** The next request that a server in this process gets. */
function nextRequest(): Promise<IncomingMessage> {
  const channel = 'http.server.request.start'
  return new Promise((resolve) => {
    function take(event: unknown) {
      unsubscribe(channel, take)
      resolve((event as { request: IncomingMessage }).request)
    }
    subscribe(channel, take)
  })
}

describe('when the store cannot be asked', () => {
  test('the answer is 503 with Retry-After, and never 401', async () => {
    lookup.fault = new Error('connect ECONNREFUSED 10.0.0.1 with password=secret')
    const answer = await send(message)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(await answer.text()).not.toContain('secret')
    const requestId = answer.headers.get('x-request-id')
    expect(gate.logged).toContainEqual(expect.objectContaining({ event: 'undecided', requestId }))
  })

  test('after the body was read the answer is 503 too', async () => {
    lookup.before = () => {
      if (lookup.questions > 1) lookup.fault = new Error('gone')
    }
    expect((await send(message)).status).toBe(503)
    expect(upstream.seen).toEqual([])
  })

  test('a token revoked while its body arrives is refused', async () => {
    lookup.before = () => {
      if (lookup.questions === 2) lookup.revoke(token)
    }
    expect((await send(message)).status).toBe(401)
    expect(upstream.seen).toEqual([])
  })
})

describe('an upstream', () => {
  test('that refuses connections is 502', async () => {
    await upstream.close()
    const answer = await send(message)
    expect(answer.status).toBe(502)
    expect(await answer.json()).toMatchObject({ success: false })
  })

  test('that never answers is 504', async () => {
    const slow = await startHttpGateway(lookup, upstream.url, { upstreamTimeoutMs: 300 })
    upstream.answer = () => {}
    const answer = await fetch(`${slow.url}/api/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(message),
    })
    expect(answer.status).toBe(504)
    await slow.close()
  })

  test('that hangs up without an answer is 502', async () => {
    upstream.answer = (_request, response) => response.destroy()
    expect((await send(message)).status).toBe(502)
  })

  test('that turns the gate itself down is 502, not a bad token', async () => {
    upstream.answer = (_request, response) => response.writeHead(401).end('{"error":"no"}')
    const answer = await send(message)
    expect(answer.status).toBe(502)
    expect(answer.headers.get('www-authenticate')).toBeNull()
  })

  test.each([400, 403, 413, 422, 429, 500, 503])(
    'that answers %i is passed on with its body',
    async (status) => {
      upstream.answer = (_request, response) =>
        response
          .writeHead(status, { 'content-type': 'application/json', 'retry-after': '7' })
          .end('{"success":false,"errors":["said by the upstream"]}')
      const answer = await send(message)
      expect(answer.status).toBe(status)
      expect(answer.headers.get('retry-after')).toBe('7')
      expect(await answer.json()).toEqual({ success: false, errors: ['said by the upstream'] })
    },
  )

  test('that breaks off in its answer breaks off at the client too', async () => {
    upstream.answer = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('half')
      setImmediate(() => response.destroy())
    }
    const answer = await send(message)
    await expect(answer.text()).rejects.toThrow()
  })

  test('that breaks off in its answer resets a client whose answer would be whole at its end', async () => {
    upstream.answer = (_request, response) => {
      response.writeHead(200)
      response.write('half')
      setImmediate(() => response.destroy())
    }
    const body = JSON.stringify(message)
    const head = [
      'POST /api/send HTTP/1.0',
      'Host: gate.test',
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
    ]
    const { port } = new URL(gate.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    await expect(text(socket)).rejects.toMatchObject({ code: 'ECONNRESET' })
  })

  test('sees the connection close when the client leaves', async () => {
    const closed = new Promise<void>((resolve) => {
      upstream.answer = (_request, response) => response.on('close', resolve)
    })
    const client = new AbortController()
    const request = fetch(`${gate.url}/api/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(message),
      signal: client.signal,
    }).catch(() => {})
    while (upstream.seen.length === 0) await new Promise(setImmediate)
    client.abort()
    await closed
    await request
  })
})

describe('the memory of a large body', () => {
  /** Says of each place which body it is of, and which place of it. */
  const textOf = (i: number) =>
    Array.from({ length: 2_000 * (1 + i) }, (_, at) => `${i}.${at}`.padEnd(20)).join('')

  function sendLarge(url: string, body: NonNullable<RequestInit['body']>) {
    return fetch(`${url}/api/send`, {
      ...{ method: 'POST', body, ...(body instanceof ReadableStream && { duplex: 'half' }) },
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    } as RequestInit)
  }

  test('is written over by none, and comes back only after a whole answer', async () => {
    const released = vi.spyOn(bufferPool, 'release')
    const acquired = vi.spyOn(bufferPool, 'acquire')
    onTestFinished(() => void vi.restoreAllMocks())
    upstream.answer = (request, response) => {
      // After its whole body: the gate has nothing left to write, and gets no answer.
      if (request.body.length % 3 === 0) return void response.destroy()
      acceptMessage(request, response)
    }
    const statuses: number[] = []
    async function client(first: number) {
      for (let i = first; i < 60; i += 6) {
        const body = Buffer.from(JSON.stringify({ ...message, text: textOf(i) }))
        // Two in five of unknown length, in two parts; one of these leaves between them.
        const parts = async function* () {
          yield body.subarray(0, body.length / 2)
          await nextTurn()
          if (i % 5 === 0) throw new Error('has left')
          yield body.subarray(body.length / 2)
        }
        const sent = sendLarge(gate.url, i % 5 < 2 ? ReadableStream.from(parts()) : body)
        await sent.then(
          async (answer) => {
            statuses.push(answer.status)
            await answer.text()
          },
          () => {},
        )
      }
    }
    await Promise.all([0, 1, 2, 3, 4, 5].map(client))
    const texts = upstream.seen.map(({ body }) => JSON.parse(String(body)).text as string)
    const expected = Array.from({ length: 60 }, (_, i) => i)
      .filter((i) => i % 5 !== 0)
      .map(textOf)
    const inOrder = (all: string[]) => all.sort((a, b) => a.length - b.length)
    expect(inOrder(texts).length).toBe(expected.length)
    expect(texts.every((text, i) => text === expected[i])).toBe(true)
    const accepted = statuses.filter((status) => status === 200)
    expect(accepted.length).toBeGreaterThan(20)
    expect(accepted.length).toBeLessThan(statuses.length)
    expect(released).toHaveBeenCalledTimes(accepted.length)
    const memories = acquired.mock.results
      .map(({ value }) => value as Buffer)
      .filter(({ length }) => length >= 65_536)
      .map(({ buffer }) => buffer)
    expect(new Set(memories).size).toBeLessThan(memories.length)
  })

  test('does not come back when the answer was there before all of it was taken', async () => {
    const released = vi.spyOn(bufferPool, 'release')
    onTestFinished(() => void vi.restoreAllMocks())
    const hasty = await startBareUpstream()
    hasty.onHead = (socket) => {
      socket.write(goodAnswer)
      return false
    }
    const ownGate = await startHttpGateway(lookup, `http://127.0.0.1:${hasty.port}`)
    onTestFinished(() => ownGate.close())
    const body = JSON.stringify({ ...message, text: 'x'.repeat(30_000_000) })
    expect((await sendLarge(ownGate.url, body)).status).toBe(200)
    expect(released).not.toHaveBeenCalled()
  })
})

test('a decision is logged once with its request, and the token never', async () => {
  const answer = await send(message)
  await send(message, { authorization: 'Bearer nobody' })
  const decisions = gate.logged.filter(({ event }) => event === 'decision')
  expect(decisions).toMatchObject([
    { allowed: true, tokenId: 1, requestId: answer.headers.get('x-request-id') },
    { allowed: false, reason: 'unknown-token' },
  ])
  expect(JSON.stringify(gate.logged)).not.toContain(token)
})

test('a request in flight is finished when the gate closes, and a new one is refused', async () => {
  let release = () => {}
  upstream.answer = (_request, response) => {
    release = () => response.end('{"success":true}')
  }
  const answer = send(message)
  while (upstream.seen.length === 0) await new Promise(setImmediate)
  const closed = gate.close(10_000)
  await expect(send(message)).rejects.toThrow()
  release()
  expect((await answer).status).toBe(200)
  await closed
})
