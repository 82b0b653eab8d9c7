import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import dns from 'node:dns'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createHttpUpstream, type Forwarded, type ForwardHooks } from '../../middleware/forward.ts'
import {
  Superseded,
  type UpstreamCall,
  UpstreamTrouble,
} from '../../middleware/upstream-connection.ts'
import { createUpstreamPool } from '../../middleware/upstream-pool.ts'
import {
  type BareUpstream,
  goodAnswer,
  startBareUpstream,
  until,
} from '../helpers/bare-upstream.ts'
import { createCertificate } from '../helpers/certificate.ts'
import { freePort } from '../helpers/free-port.ts'
import { startHttpGateway } from '../helpers/http-gateway.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { rawHttp } from '../helpers/raw-http.ts'

/** The connections to an Email API: what is sent on them, what is taken for an answer, and when they are given up. */

const timeoutMs = 5_000

/** From here on, time limits pass only as the test says. */
function holdTime() {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
}
afterEach(() => {
  vi.useRealTimers()
})

/** Those that are opened from here on, on the side that connects. */
function watchSockets(): readonly Socket[] {
  const sockets: Socket[] = []
  const onSocket = (message: unknown) => {
    sockets.push((message as { socket: Socket }).socket)
  }
  subscribe('net.client.socket', onSocket)
  onTestFinished(() => void unsubscribe('net.client.socket', onSocket))
  return sockets
}

interface Heard {
  readonly status: number
  readonly content: string
  readonly isWhole: boolean
  readonly error: Error | undefined
}

/** A call, and what it heard. */
function createCall({
  method = 'POST',
  path = '/',
  body = [],
  isLast = false,
  mayFinish = () => true,
}: {
  method?: string
  path?: string
  body?: readonly Buffer[]
  isLast?: boolean
  mayFinish?: () => boolean
} = {}) {
  let status = 0
  let content = ''
  const over = Promise.withResolvers<Heard>()
  const length = body.reduce((sum, piece) => sum + piece.length, 0)
  const call: UpstreamCall = {
    method,
    head: `${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
    body,
    isLast,
    connection: undefined,
    mayFinish,
    answered(told) {
      status = told
    },
    data(piece) {
      content += piece.toString('latin1')
      return true
    },
    end(last) {
      content += last?.toString('latin1') ?? ''
      over.resolve({ status, content, isWhole: true, error: undefined })
    },
    fail(error) {
      over.resolve({ status, content, isWhole: false, error })
    },
  }
  return { call, over: over.promise, status: () => status, content: () => content }
}

/** A whole turn of the event loop, and what is left of this one. */
async function rest() {
  for (let turn = 0; turn < 3; turn++) await nextTurn()
}

function createPool(upstream: Pick<BareUpstream, 'port'>) {
  const pool = createUpstreamPool({ host: '127.0.0.1', port: upstream.port }, timeoutMs)
  /** One call from beginning to end, and the rest that its connection has to have. */
  async function ask(options: Parameters<typeof createCall>[0] = {}) {
    const { call, over } = createCall(options)
    pool.call(call)
    const heard = await over
    await rest()
    return heard
  }
  return { ...pool, ask }
}

async function startPool() {
  const upstream = await startBareUpstream()
  return { upstream, pool: createPool(upstream) }
}

const good = { status: 200, content: '{}', isWhole: true, error: undefined }
const large = () => Array.from({ length: 64 }, () => Buffer.alloc(1024 * 1024, 'x'))

describe('a connection is used again', () => {
  test.each([
    ['with a length', goodAnswer],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'],
    ['that hopes to be kept', goodAnswer.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\n\r\n')],
    ['that is kept for long', goodAnswer.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=60\r\n\r\n')],
    ['behind an interim one', `HTTP/1.1 103 x\r\n\r\n${goodAnswer}`],
  ])('after an answer %s', async (_name, answer) => {
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write(answer)
    for (const path of ['/1', '/2', '/3']) expect(await pool.ask({ path })).toEqual(good)
    expect(upstream.connections).toHaveLength(1)
    expect(upstream.seen.map(({ head }) => head.split(' ')[1])).toEqual(['/1', '/2', '/3'])
  })

  test('after a request in many pieces, and one without content', async () => {
    const { upstream, pool } = await startPool()
    const body = [
      Buffer.alloc(100_000, 'a'),
      Buffer.alloc(0),
      Buffer.from('b'),
      Buffer.alloc(5_000, 'c'),
    ]
    expect(await pool.ask({ body })).toEqual(good)
    upstream.answer = (socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n')
    expect(await pool.ask()).toMatchObject({ status: 204, isWhole: true })
    upstream.answer = (socket) => socket.write(goodAnswer)
    expect(await pool.ask({ body: [Buffer.from('d')] })).toEqual(good)
    expect(upstream.connections).toHaveLength(1)
    expect(upstream.seen.map((one) => one.body)).toEqual([String(Buffer.concat(body)), '', 'd'])
  })

  test('after an answer that was more than could be taken, and ended in the same read', async () => {
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) =>
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n')
    for (let i = 0; i < 2; i++) {
      const { call, over } = createCall()
      const { data } = call
      pool.call({ ...call, data: (piece) => data(piece) && false })
      expect(await over).toEqual(good)
      await rest()
    }
    expect(upstream.connections).toHaveLength(1)
  })

  test('the one that was used last, so that the others grow old', async () => {
    const { upstream, pool } = await startPool()
    const held: Socket[] = []
    upstream.answer = (socket) => void held.push(socket)
    const both = [pool.ask(), pool.ask()]
    await until(() => held.length === 2)
    for (const socket of held) {
      socket.write(goodAnswer)
      await both[held.indexOf(socket)]
    }
    held.length = 0
    void pool.ask()
    await until(() => held.length === 1)
    expect(held[0]).toBe(upstream.connections[1])
  })
})

describe('a connection is not used again, though the upstream leaves it open', () => {
  const withField = (field: string) => goodAnswer.replace('\r\n\r\n', `\r\n${field}\r\n\r\n`)

  test.each([
    ['Connection: close', withField('Connection: close')],
    ['HTTP/1.0', goodAnswer.replace('1.1', '1.0')],
    ['HTTP/1.0 that is to be kept', withField('Connection: keep-alive').replace('1.1', '1.0')],
    ['a hint that it is not kept', withField('Keep-Alive: timeout=0')],
    ['a hint that it is kept for a second', withField('Keep-Alive: timeout=1')],
    ['a hint that it is kept for two', withField('Keep-Alive: timeout=2')],
    ['bytes behind the answer', `${goodAnswer}x`],
    ['an empty line behind the answer', `${goodAnswer}\r\n`],
    ['an answer behind the answer', `${goodAnswer}HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n`],
    [
      'the head of one behind the answer',
      `${goodAnswer}HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n`,
    ],
  ])('after %s', async (_name, answer) => {
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write(answer)
    expect(await pool.ask()).toEqual(good)
    upstream.answer = (socket) => socket.write(goodAnswer)
    expect(await pool.ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
    await until(() => upstream.openCount() === 1)
  })

  test.each([
    ['an answer to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'],
    ['204 that says that it has content', 'POST', 'HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n'],
  ])('after %s, which some send later', async (_name, method, answer) => {
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write(answer)
    expect(await pool.ask({ method })).toMatchObject({ content: '', isWhole: true })
    upstream.answer = (socket) => socket.write(goodAnswer)
    expect(await pool.ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
  })

  test('after a request behind which none may follow', async () => {
    const { upstream, pool } = await startPool()
    expect(await pool.ask({ isLast: true })).toEqual(good)
    expect(await pool.ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
  })

  test('after a request of which some is not taken yet', async () => {
    const sockets = watchSockets()
    const { upstream, pool } = await startPool()
    const { call, over } = createCall()
    pool.call(call)
    await until(() => sockets.length > 0)
    for (const socket of sockets) {
      Object.defineProperty(socket, 'writableLength', { get: () => 1 })
    }
    expect(await over).toEqual(good)
    await rest()
    expect(await pool.ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
  })

  test('after an answer that came before the request was whole, of which no more is sent then', async () => {
    const { upstream, pool } = await startPool()
    upstream.onHead = (socket) => {
      socket.write(goodAnswer)
      return false
    }
    let asked = 0
    const mayFinish = () => {
      asked += 1
      return true
    }
    expect(await pool.ask({ body: large(), mayFinish })).toEqual(good)
    upstream.onHead = () => true
    expect(await pool.ask()).toEqual(good)
    upstream.connections[0]?.resume()
    await until(() => upstream.openCount() === 1)
    expect(upstream.seen).toHaveLength(1)
    expect(asked).toBe(0)
  })

  test('when the time has come at which the upstream is about to close it', async () => {
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write(withField('Keep-Alive: timeout=10'))
    await pool.ask()
    vi.advanceTimersByTime(7_000)
    await pool.ask()
    expect(upstream.connections).toHaveLength(1)
    // It is the end of the answer from which on that is counted.
    upstream.answer = (socket) => socket.write(withField('Keep-Alive: timeout=10').slice(0, -2))
    const { call, over, status } = createCall()
    pool.call(call)
    await until(() => status() === 200)
    vi.advanceTimersByTime(timeoutMs - 1_000)
    upstream.connections[0]?.write('{}')
    expect(await over).toEqual(good)
    await rest()
    upstream.answer = (socket) => socket.write(withField('Keep-Alive: timeout=10'))
    vi.advanceTimersByTime(7_000)
    await pool.ask()
    expect(upstream.connections).toHaveLength(1)
    vi.advanceTimersByTime(8_000)
    await until(() => upstream.openCount() === 0)
    expect(await pool.ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
  })
})

describe('what an idle connection says is never the answer to the next request', () => {
  const evil = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
  /** All of them are in the gate's socket in the turn in which the next request comes. */
  const misdeeds: readonly [string, (socket: Socket) => void][] = [
    ['an answer', (socket) => socket.write(evil)],
    ['a byte', (socket) => socket.write('H')],
    ['an answer and its end', (socket) => socket.end(evil)],
    ['its end', (socket) => socket.end()],
    ['the beginning of an answer', (socket) => socket.write(evil.slice(0, 30))],
  ]

  test.each(misdeeds)('%s', async (_name, misbehave) => {
    const { upstream, pool } = await startPool()
    expect(await pool.ask()).toEqual(good)
    await nextTurn()
    const [first] = upstream.connections
    if (first !== undefined) misbehave(first)
    expect(await pool.ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
    expect(upstream.seen).toHaveLength(2)
  })

  test.each(misdeeds)('%s, over TLS', async (_name, misbehave) => {
    const certificate = createCertificate()
    const upstream = await startBareUpstream({ certificate })
    const tls = { ca: certificate.cert }
    const pool = createUpstreamPool({ host: '127.0.0.1', port: upstream.port, tls }, timeoutMs)
    const ask = () => {
      const { call, over } = createCall()
      pool.call(call)
      return over
    }
    expect(await ask()).toEqual(good)
    await rest()
    const [first] = upstream.connections
    if (first !== undefined) misbehave(first)
    expect(await ask()).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
    expect(upstream.seen).toHaveLength(2)
  })

  test.each(misdeeds)('%s, in the turn in which it was answered', async (_name, misbehave) => {
    const { upstream, pool } = await startPool()
    const first = createCall()
    const second = createCall()
    pool.call({
      ...first.call,
      end(last) {
        first.call.end(last)
        for (const socket of upstream.connections) misbehave(socket)
        pool.call(second.call)
      },
    })
    expect(await second.over).toEqual(good)
    expect(upstream.connections).toHaveLength(2)
  })

  test('nor is a reset of it', async () => {
    const { upstream, pool } = await startPool()
    await pool.ask()
    await nextTurn()
    upstream.connections[0]?.resetAndDestroy()
    expect(await pool.ask()).toEqual(good)
    expect(upstream.seen).toHaveLength(2)
  })

  test('and ends it, when nobody asks', async () => {
    const { upstream, pool } = await startPool()
    await pool.ask()
    upstream.connections[0]?.write(evil)
    await until(() => upstream.openCount() === 0)
    expect(await pool.ask()).toEqual(good)
  })
})

test('a request whose connection ends under it is told so, and never sent again', async () => {
  const { upstream, pool } = await startPool()
  await pool.ask()
  for (const hangUp of [
    (socket: Socket) => socket.destroy(),
    (socket: Socket) => socket.end(),
    (socket: Socket) => socket.resetAndDestroy(),
  ]) {
    upstream.answer = hangUp
    const heard = await pool.ask({ path: '/lost' })
    expect(heard).toMatchObject({ status: 0, isWhole: false })
    expect(heard.error).toMatchObject({ failure: 'misbehaved' })
    upstream.answer = (socket) => socket.write(goodAnswer)
    expect(await pool.ask()).toEqual(good)
  }
  expect(upstream.seen.filter(({ head }) => head.includes('/lost'))).toHaveLength(3)
})

describe('a decision that holds no more', () => {
  test('keeps all of a short request back', async () => {
    const { upstream, pool } = await startPool()
    await pool.ask()
    const heard = await pool.ask({ body: [Buffer.from('x')], mayFinish: () => false })
    expect(heard.error).toBeInstanceOf(Superseded)
    expect(await pool.ask()).toEqual(good)
    expect(upstream.seen).toHaveLength(2)
    // Nothing was said on it.
    expect(upstream.connections).toHaveLength(1)
  })

  test.each([
    ['one long piece', { body: [Buffer.alloc(100_000, 'x')] }],
    ['two short pieces', { body: [Buffer.from('x'), Buffer.from('y')] }],
    ['a piece, and an empty one behind it', { body: [Buffer.alloc(20_000, 'x'), Buffer.alloc(0)] }],
    ['a long head and nothing else', { path: `/${'x'.repeat(20_000)}` }],
    ['a long head and nothing in two pieces', { body: [Buffer.alloc(0), Buffer.alloc(0)] }],
  ])('keeps the end of %s back', async (_name, options) => {
    const { upstream, pool } = await startPool()
    const heard = await pool.ask({ ...options, mayFinish: () => false })
    expect(heard.error).toBeInstanceOf(Superseded)
    await until(() => upstream.connections.length === 1 && upstream.openCount() === 0)
    expect(upstream.seen).toHaveLength(0)
  })

  test.each([
    ['a head', {}],
    ['a long head', { path: `/${'x'.repeat(20_000)}` }],
    ['a short body', { body: [Buffer.from('x')] }],
    ['a long body', { body: [Buffer.alloc(50_000)] }],
    ['two pieces', { body: [Buffer.from('x'), Buffer.from('y')] }],
  ])(
    'is asked for once, in the turn in which the last of %s is written',
    async (_name, options) => {
      const { upstream, pool } = await startPool()
      const turns: string[] = []
      const { write } = Socket.prototype
      const spy = vi.spyOn(Socket.prototype, 'write').mockImplementation(function (
        this: Socket,
        ...args: unknown[]
      ) {
        if (this.remotePort === upstream.port) turns.push('written')
        return write.apply(this, args as [string])
      })
      onTestFinished(() => spy.mockRestore())
      const mayFinish = () => {
        turns.push('asked')
        queueMicrotask(() => turns.push('over'))
        return true
      }
      expect(await pool.ask({ ...options, mayFinish })).toEqual(good)
      expect(turns.slice(-3)).toEqual(['asked', 'written', 'over'])
      expect(turns.filter((turn) => turn === 'asked')).toHaveLength(1)
    },
  )
})

describe('of more calls than there may be connections', () => {
  async function holdAll() {
    const { upstream, pool } = await startPool()
    const held: Socket[] = []
    upstream.answer = (socket) => void held.push(socket)
    const first = Array.from({ length: 256 }, (_, i) => pool.ask({ path: `/${i}` }))
    await until(() => held.length === 256)
    /** Those who wait are served as others are answered. */
    function letGo() {
      upstream.answer = (socket) => socket.write(goodAnswer)
      for (const socket of held) socket.write(goodAnswer)
    }
    return { upstream, pool, first, letGo }
  }

  test('the rest waits, and is served in its order', async () => {
    const { upstream, pool, first, letGo } = await holdAll()
    const rest = Array.from({ length: 44 }, (_, i) => pool.ask({ path: `/${256 + i}` }))
    for (let turn = 0; turn < 20; turn++) await nextTurn()
    expect(upstream.seen).toHaveLength(256)
    letGo()
    for (const heard of await Promise.all([...first, ...rest])) expect(heard).toEqual(good)
    expect(upstream.connections).toHaveLength(256)
    expect(upstream.seen).toHaveLength(300)
  })

  test('one that nobody waits for any more is never sent', async () => {
    const { upstream, pool, first, letGo } = await holdAll()
    const left = createCall({ path: '/left' })
    pool.call(left.call)
    const stays = pool.ask({ path: '/stays' })
    await nextTurn()
    pool.abandon(left.call)
    letGo()
    for (const heard of await Promise.all([...first, stays])) expect(heard).toEqual(good)
    await pool.close()
    expect(upstream.seen).toHaveLength(257)
    expect(upstream.seen.filter(({ head }) => head.includes('/left'))).toEqual([])
  })

  test('those that wait are served over new connections when the old ones end', async () => {
    const { upstream, pool, first } = await holdAll()
    const rest = Array.from({ length: 10 }, () => pool.ask())
    upstream.answer = (socket) => socket.write(goodAnswer)
    for (const socket of [...upstream.connections]) socket.resetAndDestroy()
    for (const heard of await Promise.all(first)) expect(heard.isWhole).toBe(false)
    for (const heard of await Promise.all(rest)) expect(heard).toEqual(good)
  })

  test.each([
    ['', goodAnswer],
    [', whatever becomes of those', 'no HTTP'],
  ])(
    'closing waits for those under way and those that wait, and for no idle connection%s',
    async (_name, last) => {
      holdTime()
      const { upstream, pool, first, letGo } = await holdAll()
      const rest = Array.from({ length: 10 }, () => pool.ask())
      let isClosed = false
      const closed = pool.close().then(() => {
        isClosed = true
      })
      for (let turn = 0; turn < 20; turn++) await nextTurn()
      expect(isClosed).toBe(false)
      letGo()
      upstream.answer = (socket) => socket.write(last)
      for (const heard of await Promise.all(first)) expect(heard).toEqual(good)
      for (const { isWhole } of await Promise.all(rest)) expect(isWhole).toBe(last === goodAnswer)
      await closed
      await until(() => upstream.openCount() === 0)
    },
  )
})

describe('closing', () => {
  test('is over at once where nothing is under way', async () => {
    const { upstream, pool } = await startPool()
    await createPool(upstream).close()
    await pool.ask()
    await pool.close()
    await until(() => upstream.openCount() === 0)
  })

  test('does not wait for an upstream that is silent longer than anybody else', async () => {
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = () => {}
    const asked = pool.ask()
    await until(() => upstream.seen.length === 1)
    const closed = pool.close()
    vi.advanceTimersByTime(2 * timeoutMs)
    expect((await asked).error).toMatchObject({ failure: 'timeout' })
    await closed
    expect(vi.getTimerCount()).toBe(0)
  })

  test('waits for a call that was made just before', async () => {
    const { upstream, pool } = await startPool()
    const asked = pool.ask()
    await pool.close()
    expect(upstream.seen).toHaveLength(1)
    expect(await asked).toEqual(good)
  })

  test('is over when the last that was under way is given up', async () => {
    const { upstream, pool } = await startPool()
    upstream.answer = () => {}
    const { call } = createCall()
    pool.call(call)
    await until(() => upstream.seen.length === 1)
    const closed = pool.close()
    pool.abandon(call)
    await closed
  })
})

describe('a call that nobody waits for any more ends its connection', () => {
  test.each([
    ['before there is one', () => true],
    ['while it waits for an answer', (upstream: BareUpstream) => upstream.seen.length === 1],
  ])('%s', async (_name, isTime) => {
    const { upstream, pool } = await startPool()
    upstream.answer = () => {}
    const { call } = createCall()
    pool.call(call)
    await until(() => isTime(upstream))
    pool.abandon(call)
    await until(() => upstream.openCount() === 0)
    upstream.answer = (socket) => socket.write(goodAnswer)
    expect(await pool.ask({ path: '/next' })).toEqual(good)
    await pool.close()
  })

  test('in the middle of its answer', async () => {
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')
    const { call, status } = createCall()
    pool.call(call)
    await until(() => status() === 200)
    pool.abandon(call)
    await until(() => upstream.openCount() === 0)
  })

  test('in the middle of its body', async () => {
    const { upstream, pool } = await startPool()
    let isHere = false
    upstream.onHead = () => {
      isHere = true
      return false
    }
    const { call } = createCall({ body: large() })
    pool.call(call)
    await until(() => isHere)
    pool.abandon(call)
    upstream.connections[0]?.resume()
    await until(() => upstream.openCount() === 0)
    expect(upstream.seen).toEqual([])
  })
})

describe('an upstream is given up when for so long nothing comes', () => {
  const expectTimeout = (heard: Heard) => {
    expect(heard.error).toBeInstanceOf(UpstreamTrouble)
    expect(heard.error).toMatchObject({ failure: 'timeout' })
  }

  test.each([
    ['of its answer', '', 0],
    ['of the rest of a head', 'HTTP/1.1 200 OK\r\nContent-', 0],
    ['behind an interim answer', 'HTTP/1.1 103 x\r\n\r\n', 0],
    ['of the content', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n', 200],
    ['of the rest of the content', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf', 200],
    [
      'of the next chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n',
      200,
    ],
    ['of content without a length', 'HTTP/1.1 200 OK\r\n\r\nhalf', 200],
  ])('%s', async (_name, said, status) => {
    holdTime()
    const { upstream, pool } = await startPool()
    let isSaid = false
    upstream.answer = (socket) => socket.write(said, () => (isSaid = true))
    const asked = pool.ask()
    await until(() => isSaid)
    // What was said is heard before time goes on.
    for (let turn = 0; turn < 10; turn++) await nextTurn()
    vi.advanceTimersByTime(timeoutMs - 1_000)
    await nextTurn()
    expect(upstream.openCount()).toBe(1)
    vi.advanceTimersByTime(2_000)
    const heard = await asked
    expectTimeout(heard)
    expect(heard).toMatchObject({ status, isWhole: false })
    await until(() => upstream.openCount() === 0)
  })

  test.each([
    ['in a head', '', 'HTTP/1.1 200 OK\r\nX: yyyyyyyyyyyyyyy'],
    [
      'in an extension of a chunk',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
      '1;yyyyyyyyy',
    ],
    [
      'in a trailer',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n',
      'X: yyyyyyyyy',
    ],
  ])('but bytes that say nothing yet, %s', async (_name, start, slowly) => {
    const sockets = watchSockets()
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => void (start !== '' && socket.write(start))
    const asked = pool.ask()
    await until(() => upstream.seen.length === 1)
    for (let i = 0; i < slowly.length && upstream.openCount() > 0; i++) {
      upstream.connections[0]?.write(slowly.slice(i, i + 1))
      const isRead = () => sockets.some(({ bytesRead }) => bytesRead === start.length + i + 1)
      await until(() => isRead() || upstream.openCount() === 0)
      vi.advanceTimersByTime(1_000)
      await nextTurn()
    }
    expectTimeout(await asked)
  })

  test('and a large body is not read', async () => {
    holdTime()
    const { upstream, pool } = await startPool()
    let isHere = false
    upstream.onHead = () => {
      isHere = true
      return false
    }
    const asked = pool.ask({ body: large() })
    await until(() => isHere)
    vi.advanceTimersByTime(2 * timeoutMs)
    // What was on its way may still have arrived.
    for (let turn = 0; turn < 50; turn++) await nextTurn()
    vi.advanceTimersByTime(2 * timeoutMs)
    expectTimeout(await asked)
    expect(upstream.seen).toEqual([])
  })

  test('and no connection comes about', async () => {
    holdTime()
    // Its backlog is never emptied: a TLS handshake that nobody answers.
    const silent = await startBareUpstream()
    const pool = createUpstreamPool({ host: '127.0.0.1', port: silent.port, tls: {} }, timeoutMs)
    const { call, over } = createCall()
    pool.call(call)
    await until(() => silent.connections.length === 1)
    vi.advanceTimersByTime(2 * timeoutMs)
    expectTimeout(await over)
  })

  test('and not before: the time for which its connection was idle does not count', async () => {
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) =>
      socket.write(goodAnswer.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=60\r\n\r\n'))
    await pool.ask()
    vi.advanceTimersByTime(6 * timeoutMs)
    upstream.answer = () => {}
    const asked = pool.ask()
    await until(() => upstream.seen.length === 2)
    vi.advanceTimersByTime(timeoutMs - 1_000)
    upstream.connections[0]?.write(goodAnswer)
    expect(await asked).toEqual(good)
    expect(upstream.connections).toHaveLength(1)
  })

  test('and not before: the time for which nobody took more of its answer does not count', async () => {
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{')
    const { call, over, content } = createCall()
    const { data } = call
    call.data = (piece) => data(piece) && false
    pool.call(call)
    await until(() => content() === '{')
    vi.advanceTimersByTime(6 * timeoutMs)
    call.connection?.resume()
    vi.advanceTimersByTime(timeoutMs - 1_000)
    upstream.connections[0]?.write('}')
    expect(await over).toEqual(good)
  })

  test('and not before: a body that is read slowly arrives whole', async () => {
    const sockets = watchSockets()
    holdTime()
    const { upstream, pool } = await startPool()
    let isHere = false
    upstream.onHead = () => {
      isHere = true
      return false
    }
    const asked = pool.ask({ body: large().slice(0, 12) })
    await until(() => isHere)
    const written = () => sockets[0]?.bytesWritten ?? 0
    const isUnderWay = () => upstream.seen.length === 0 && upstream.openCount() > 0
    for (let before = written(); isUnderWay(); before = written()) {
      vi.advanceTimersByTime(timeoutMs - 1_000)
      upstream.connections[0]?.resume()
      // The next piece is written when the one before it is.
      await until(() => written() > before || !isUnderWay())
      upstream.connections[0]?.pause()
    }
    upstream.connections[0]?.resume()
    expect(await asked).toEqual(good)
  })

  test('and not before: however long it takes in pieces, an answer comes whole', async () => {
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = () => {}
    const { call, over, status, content } = createCall()
    pool.call(call)
    await until(() => upstream.seen.length === 1)
    const [socket] = upstream.connections
    vi.advanceTimersByTime(timeoutMs - 1_000)
    socket?.write('HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n')
    await until(() => status() === 200)
    for (let length = 0; length < 12; length++) {
      await until(() => content().length === length)
      vi.advanceTimersByTime(timeoutMs - 1_000)
      socket?.write('x')
    }
    expect(await over).toMatchObject({ content: 'x'.repeat(12), isWhole: true })
  })
})

/** Clients in front of `createHttpUpstream`, which is asked for whatever they ask for. */
async function startForwarder(origin: string, more: { ca?: string } = {}) {
  const upstream = createHttpUpstream({ origin, basePath: '', timeoutMs, ...more })
  const responses: ServerResponse[] = []
  const forwarded: Forwarded[] = []
  const broken: Error[] = []
  let isHeld = false
  const held: (() => void)[] = []
  const server = createServer((incoming, outgoing) => {
    responses.push(outgoing)
    const forward = () =>
      upstream
        .forward(
          { method: incoming.method ?? '', path: incoming.url ?? '', headers: [], body: [] },
          outgoing,
          {
            mayFinish: () => true,
            answerHeaders: (fields) =>
              [...fields].filter((_, i, all) => !isFraming(all[i - (i % 2)])),
            broken(error) {
              broken.push(error)
              outgoing.destroy()
            },
          },
        )
        .then((how) => {
          forwarded.push(how)
          if (how !== 'done') outgoing.writeHead(how === 'superseded' ? 503 : 502).end()
        })
    if (isHeld) held.push(() => void forward())
    else void forward()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  /** A client that reads nothing beyond what comes before it is paused. */
  function open(path = '/') {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`)
    return socket
  }
  return {
    ...{ url: `http://127.0.0.1:${port}`, upstream, responses, forwarded, broken, open },
    hold() {
      isHeld = true
    },
    letGo() {
      isHeld = false
      for (const forward of held.splice(0)) forward()
    },
  }
}
const isFraming = (name = '') => name === 'transfer-encoding' || name === 'connection'

describe('the client', () => {
  const text = 'x'.repeat(100_000)
  test.each([
    ['with a length', `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`],
    [
      'in chunks',
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\nX: y\r\n\r\n`,
    ],
    ['until the connection ends', `HTTP/1.1 200 OK\r\n\r\n${text}`],
    ['until the connection of HTTP/1.0 ends', `HTTP/1.0 200 OK\r\n\r\n${text}`],
  ])('gets content %s', async (_name, answer) => {
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => socket.end(answer)
    const { url } = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const answered = await fetch(url)
    expect(answered.status).toBe(200)
    expect(await answered.text()).toBe(text)
  })

  test.each([
    ['in content with a length', 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'],
    ['in a chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf'],
    ['between chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
    [
      'by a chunk that is malformed',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nx\r\n',
    ],
    [
      'by a trailer that is malformed',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\nX : y\r\n\r\n',
    ],
  ])('sees an answer broken off that is broken off %s', async (_name, answer) => {
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => socket.end(answer)
    const { url, broken } = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    await expect(fetch(url).then((answered) => answered.text())).rejects.toThrow()
    expect(broken).toHaveLength(1)
  })

  test('sees one broken off that ends with a reset, where its end would have made it whole', async () => {
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => socket.write('HTTP/1.1 200 OK\r\n\r\nhalf')
    const { url, responses, broken } = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const asked = fetch(url).then((answered) => answered.text())
    const failed = expect(asked).rejects.toThrow()
    await until(() => responses[0]?.headersSent === true)
    upstream.connections[0]?.resetAndDestroy()
    await failed
    expect(broken).toHaveLength(1)
  })

  test('who has left before the request could be made leaves it unmade', async () => {
    const upstream = await startBareUpstream()
    const forwarder = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    forwarder.hold()
    const client = forwarder.open()
    await until(() => forwarder.responses.length === 1)
    client.destroy()
    await until(() => forwarder.responses[0]?.destroyed === true)
    forwarder.letGo()
    await until(() => forwarder.forwarded.length === 1)
    expect(forwarder.forwarded).toEqual(['done'])
    await forwarder.upstream.close()
    expect(upstream.connections).toHaveLength(0)
  })

  test('who leaves while it waits for a connection leaves it unmade', async () => {
    const upstream = await startBareUpstream()
    const held: Socket[] = []
    upstream.answer = (socket) => void held.push(socket)
    const forwarder = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const first = Array.from({ length: 256 }, () => forwarder.open())
    await until(() => held.length === 256)
    const client = forwarder.open('/left')
    await until(() => forwarder.responses.length === 257)
    client.destroy()
    await until(() => forwarder.forwarded.length === 1)
    for (const socket of held) socket.write(goodAnswer)
    await until(() => forwarder.forwarded.length === 257)
    await forwarder.upstream.close()
    expect(upstream.seen.filter(({ head }) => head.includes('/left'))).toEqual([])
    for (const socket of first) socket.destroy()
  })

  test('who leaves in the middle of an answer ends the connection that it comes over', async () => {
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf')
    const forwarder = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const client = forwarder.open()
    await new Promise((resolve) => client.once('data', resolve))
    client.destroy()
    await until(() => upstream.openCount() === 0)
    expect(forwarder.forwarded).toEqual(['done'])
  })

  test('who reads slowly is waited for, and no more is held for it than a little', async () => {
    holdTime()
    const total = 100 * 1024 * 1024
    const upstream = await startBareUpstream()
    const piece = Buffer.alloc(256 * 1024, 'x')
    let left = total
    upstream.answer = (socket) => {
      function write() {
        while (left > 0) {
          left -= piece.length
          if (!socket.write(piece)) return
        }
      }
      socket.on('drain', write)
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      write()
    }
    const forwarder = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const client = forwarder.open()
    let received = 0
    client.on('data', (bytes) => {
      received += bytes.length
    })
    client.once('data', () => client.pause())
    await until(() => received > 0)
    // Until all that lies between the two is full.
    for (let turns = 0, before = left; turns < 200; turns += 1) {
      await nextTurn()
      if (left < before) turns = 0
      before = left
    }
    const [response] = forwarder.responses
    expect(left).toBeGreaterThan(0)
    expect((response?.writableLength ?? 0) + (response?.socket?.writableLength ?? 0)).toBeLessThan(
      2 * 1024 * 1024,
    )
    vi.advanceTimersByTime(20 * timeoutMs)
    await nextTurn()
    client.resume()
    await until(() => received > total)
    await until(() => forwarder.forwarded.length === 1)
    expect(forwarder.broken).toEqual([])
  })

  test('who reads slowly costs no more for an answer in many small chunks', async () => {
    const upstream = await startBareUpstream()
    upstream.answer = (socket) =>
      socket.end(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(200_000)}0\r\n\r\n`,
      )
    const forwarder = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const warnings: string[] = []
    const onWarning = (warning: Error) => void warnings.push(warning.message)
    process.on('warning', onWarning)
    onTestFinished(() => void process.off('warning', onWarning))
    const answered = await fetch(forwarder.url)
    expect(await answered.text()).toBe('x'.repeat(200_000))
    expect(warnings).toEqual([])
    expect(forwarder.responses[0]?.listenerCount('drain')).toBeLessThanOrEqual(1)
  })
})

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

test.each(['a\r\nX: y', 'a\nb', 'a\rb', 'a\0b', 'a\x7fb', 'a\u0100b'])(
  'a field with the value %j is never written',
  async (value) => {
    const upstream = await startBareUpstream()
    const { forward, close } = createHttpUpstream({
      origin: `http://127.0.0.1:${upstream.port}`,
      ...{ basePath: '', timeoutMs },
    })
    const request = { method: 'GET', path: '/', headers: ['X', value], body: [] }
    await expect(forward(request, {} as ServerResponse, {} as ForwardHooks)).rejects.toThrow(/X/)
    await close()
    expect(upstream.connections).toHaveLength(0)
  },
)

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
