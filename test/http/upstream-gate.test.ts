import dns from 'node:dns'
import { networkInterfaces } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { goodAnswer, startBareUpstream, until } from '../helpers/bare-upstream.ts'
import { createCertificate } from '../helpers/certificate.ts'
import { freePort } from '../helpers/free-port.ts'
import { startHttpGateway } from '../helpers/http-gateway.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { rawHttp } from '../helpers/raw-http.ts'
import { holdTime, rest, timeoutMs } from '../helpers/upstream-call.ts'

/** The whole gate before Email APIs of all kinds. */

const token = '4c2446b6e0f911ec94870a58a9feac02'

/** The whole gate, with routes that let anything through. */
async function startGate(
  origin: string,
  upstreamCa?: string,
  operatorHeaders: readonly (readonly [string, string])[] = [],
) {
  const lookup = createMemoryLookup()
  lookup.allow(token, ['example.com'])
  const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'DELETE']
  const gate = await startHttpGateway(lookup, origin, {
    routes: methods.map((method) => ({ method, path: '/api/any', check: 'authenticated' })),
    upstreamTimeoutMs: timeoutMs,
    operatorHeaders,
    ...(upstreamCa === undefined ? {} : { upstreamCa }),
  })
  onTestFinished(() => gate.close(1))
  const ask = (method = 'POST', body?: string) =>
    fetch(`${gate.url}/api/any`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { body }),
    })
  const failure = () => gate.logged.find(({ event }) => event === 'upstream_failed')
  return { ...gate, ask, failure }
}

describe('a request', () => {
  test.each(['GET', 'HEAD', 'DELETE', 'OPTIONS'])(
    'of %s without content says nothing of its length',
    async (method) => {
      const upstream = await startBareUpstream()
      const gate = await startGate(`http://127.0.0.1:${upstream.port}`)
      expect((await gate.ask(method)).status).toBe(200)
      expect(upstream.seen[0]?.head).toMatch(new RegExp(`^${method} /api/any HTTP/1\\.1\r\n`))
      expect(upstream.seen[0]?.head).not.toMatch(/^(?:content-length|transfer-encoding):/im)
    },
  )

  test.each(['GET', 'DELETE'])(
    'of %s with content, which may be taken for another one, is the last on its connection',
    async (method) => {
      const upstream = await startBareUpstream()
      const gate = await startGate(`http://127.0.0.1:${upstream.port}`)
      const hidden = 'POST /api/send HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n'
      await rawHttp(
        gate.url,
        `${method} /api/any HTTP/1.1\r\nHost: a\r\nApi-Token: ${token}\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
      )
      await rest()
      expect((await gate.ask('GET')).status).toBe(200)
      expect(upstream.seen[0]?.head).toMatch(/^Connection: close\r$/m)
      expect(upstream.connections).toHaveLength(2)
    },
  )

  test('goes to the host that the operator names, and to no other', async () => {
    const upstream = await startBareUpstream()
    const gate = await startGate(`http://127.0.0.1:${upstream.port}`, undefined, [
      ['Host', 'api.internal'],
      ['X-Key', '1'],
    ])
    expect((await gate.ask('GET')).status).toBe(200)
    expect(upstream.seen[0]?.head.match(/^Host: .*$/gim)).toEqual(['Host: api.internal'])
    expect(upstream.seen[0]?.head).toContain('X-Key: 1\r\n')
  })

  test.each(['POST', 'PUT'])('of %s without content says so', async (method) => {
    const upstream = await startBareUpstream()
    const gate = await startGate(`http://127.0.0.1:${upstream.port}`)
    expect((await gate.ask(method)).status).toBe(200)
    expect(upstream.seen[0]?.head).toMatch(/^Content-Length: 0\r$/m)
  })

  test('says the length of its content, and where it goes', async () => {
    const upstream = await startBareUpstream()
    const gate = await startGate(`http://127.0.0.1:${upstream.port}/base`)
    expect((await gate.ask('PUT', 'Zürich')).status).toBe(200)
    const [seen] = upstream.seen
    expect(seen?.head).toMatch(/^PUT \/base\/api\/any HTTP\/1\.1\r\n/)
    expect(seen?.head).toMatch(new RegExp(`^Host: 127\\.0\\.0\\.1:${upstream.port}\r$`, 'm'))
    expect(seen?.head.match(/^content-length: .*$/gim)).toEqual(['Content-Length: 7'])
    expect(seen?.head).not.toMatch(/^transfer-encoding:/im)
    expect(Buffer.from(seen?.body ?? '', 'latin1').toString()).toBe('Zürich')
  })
})

describe('a gate tells its client', () => {
  test.each([
    ['no HTTP', '220 mail.test ESMTP\r\n', 502],
    [
      'another protocol',
      'HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
      502,
    ],
    ['a malformed field', 'HTTP/1.1 200 OK\r\nX : y\r\nContent-Length: 2\r\n\r\n{}', 502],
    ['407', 'HTTP/1.1 407 x\r\nContent-Length: 100000\r\n\r\n{}', 502],
    ['an interim answer, and another', `HTTP/1.1 100 x\r\n\r\n${goodAnswer}`, 200],
    ['429', 'HTTP/1.1 429 x\r\nContent-Length: 2\r\n\r\n{}', 429],
  ])('what came of %s', async (_name, answer, status) => {
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => socket.write(answer)
    const gate = await startGate(`http://127.0.0.1:${upstream.port}`)
    const answered = await gate.ask()
    expect(answered.status).toBe(status)
    await answered.text()
    upstream.answer = (socket) => socket.write(goodAnswer)
    expect((await gate.ask()).status).toBe(200)
    expect(upstream.connections).toHaveLength(status === 502 ? 2 : 1)
  })

  test('504 where the upstream is silent, and where it does not read', async () => {
    holdTime()
    const upstream = await startBareUpstream()
    let isHere = false
    upstream.onHead = () => {
      isHere = true
      return false
    }
    const gate = await startGate(`http://127.0.0.1:${upstream.port}`)
    for (const body of ['x', 'x'.repeat(40 * 1024 * 1024)]) {
      isHere = false
      const asked = gate.ask('POST', body)
      await until(() => isHere)
      // What is under way in the gate goes out as far as it can.
      for (let turn = 0; turn < 100; turn++) await nextTurn()
      vi.advanceTimersByTime(2 * timeoutMs)
      expect((await asked).status).toBe(504)
    }
    expect(gate.failure()).toMatchObject({ failure: 'timeout' })
  })

  test('by breaking off where the upstream falls silent in the middle', async () => {
    holdTime()
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    const gate = await startGate(`http://127.0.0.1:${upstream.port}`)
    const answered = await gate.ask()
    vi.advanceTimersByTime(2 * timeoutMs)
    await expect(answered.text()).rejects.toThrow()
    expect(gate.failure()).toMatchObject({
      failure: 'misbehaved',
      error: expect.stringMatching(/in time/),
    })
  })

  test('502 where nobody listens, and its log why, for each address', async () => {
    const port = await freePort()
    const gate = await startGate(`http://127.0.0.1:${port}`)
    expect((await gate.ask()).status).toBe(502)
    expect(gate.failure()).toMatchObject({
      failure: 'unreachable',
      upstream: `http://127.0.0.1:${port}`,
      error: `connect ECONNREFUSED 127.0.0.1:${port}`,
    })
  })

  test('502 where a name stands for several addresses and nobody listens at any, and its log names them', async () => {
    const port = await freePort()
    giveBoth('upstream.test')
    const gate = await startGate(`http://upstream.test:${port}`)
    expect((await gate.ask()).status).toBe(502)
    const { failure, error } = gate.failure() ?? {}
    expect(failure).toBe('unreachable')
    for (const address of both) expect(error).toContain(`${address.address}:${port}`)
  })

  test('200 where one of several addresses answers', async () => {
    const upstream = await startBareUpstream({ host: both[1]?.address ?? '' })
    giveBoth('upstream.test')
    const gate = await startGate(`http://upstream.test:${upstream.port}`)
    expect((await gate.ask()).status).toBe(200)
  })

  test('502 where a name is nobody, and its log says so', async () => {
    const gate = await startGate('http://nobody.invalid')
    expect((await gate.ask()).status).toBe(502)
    expect(gate.failure()).toMatchObject({
      failure: 'unreachable',
      error: expect.stringContaining('nobody.invalid'),
    })
  })
})

/** Two addresses of this machine. */
const both = [
  { address: '127.0.0.2', family: 4 },
  { address: '127.0.0.3', family: 4 },
]
/** Lets the name stand for them. */
function giveBoth(name: string) {
  const { lookup } = dns
  const spy = vi.spyOn(dns, 'lookup').mockImplementation(((asked: string, ...rest: unknown[]) => {
    if (asked !== name) return (lookup as (...all: unknown[]) => void)(asked, ...rest)
    const callback = rest.at(-1) as (error: null, all: typeof both) => void
    callback(null, both)
  }) as never)
  onTestFinished(() => spy.mockRestore())
}

describe('over TLS', () => {
  async function startTls(name?: string) {
    const certificate = createCertificate(name)
    const upstream = await startBareUpstream({ certificate })
    return { upstream, ca: certificate.cert }
  }

  test('an upstream is believed that the own authority vouches for, by name and by address', async () => {
    const { upstream, ca } = await startTls()
    for (const host of ['localhost', '127.0.0.1']) {
      const gate = await startGate(`https://${host}:${upstream.port}`, ca)
      expect((await gate.ask()).status).toBe(200)
    }
  })

  test.each([
    ['that has another name', 'other.test', true],
    ['that nobody vouches for', 'localhost', false],
  ])('an upstream %s gets no request', async (_name, name, isTrusted) => {
    const { upstream, ca } = await startTls(name)
    const gate = await startGate(`https://localhost:${upstream.port}`, isTrusted ? ca : undefined)
    for (let i = 0; i < 2; i++) expect((await gate.ask()).status).toBe(502)
    expect(gate.failure()).toMatchObject({
      failure: 'unreachable',
      error: expect.stringMatching(isTrusted ? /altnames/ : /self-signed/),
    })
    expect(upstream.seen).toEqual([])
  })

  test('an upstream that speaks none gets no request, and neither does one that speaks it unasked', async () => {
    const plain = await startBareUpstream()
    plain.onHead = () => true
    const gate = await startGate(`https://127.0.0.1:${plain.port}`)
    const asked = gate.ask()
    await until(() => plain.connections.length === 1)
    plain.connections[0]?.write(goodAnswer)
    expect((await asked).status).toBe(502)
    const { upstream } = await startTls()
    const inClear = await startGate(`http://127.0.0.1:${upstream.port}`)
    expect((await inClear.ask()).status).toBe(502)
    expect([...plain.seen, ...upstream.seen]).toEqual([])
  })

  test('a later connection resumes the session of an earlier one', async () => {
    const { upstream, ca } = await startTls()
    upstream.answer = (socket) =>
      socket.write(goodAnswer.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'))
    const gate = await startGate(`https://localhost:${upstream.port}`, ca)
    for (let i = 0; i < 3; i++) expect((await gate.ask()).status).toBe(200)
    const isReused = upstream.connections.map((socket) => (socket as TLSSocket).isSessionReused())
    expect(isReused).toEqual([false, true, true])
  })
})

test('an upstream may have an IPv6 address', async () => {
  const hasIPv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === '::1'),
  )
  if (hasIPv6) {
    const upstream = await startBareUpstream({ host: '::1' })
    const gate = await startGate(`http://[::1]:${upstream.port}`)
    expect((await gate.ask()).status).toBe(200)
    expect(upstream.seen[0]?.head).toContain(`\r\nHost: [::1]:${upstream.port}\r\n`)
  } else {
    const gate = await startGate('http://[::1]:9')
    expect((await gate.ask()).status).toBe(502)
    expect(gate.failure()).toMatchObject({ error: expect.stringContaining('::1:9') })
  }
})
