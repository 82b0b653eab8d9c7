import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { Superseded, UpstreamTrouble } from '../../middleware/upstream-connection.ts'
import { createUpstreamPool } from '../../middleware/upstream-pool.ts'
import {
  type BareUpstream,
  goodAnswer,
  startBareUpstream,
  until,
} from '../helpers/bare-upstream.ts'
import { createCertificate } from '../helpers/certificate.ts'
import { collectSockets } from '../helpers/sockets.ts'
import {
  createCall,
  createPool,
  good,
  type Heard,
  holdTime,
  rest,
  startPool,
  timeoutMs,
} from '../helpers/upstream-call.ts'

/** The connections to an Email API: what is sent on them, what is taken for an answer, and when they are given up. */

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
    const { call, over, isTaken } = createCall({ body })
    pool.call(call)
    expect(await over).toEqual(good)
    expect(isTaken()).toBe(true)
    await rest()
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

  test('after a request of which some is not taken yet, nor is the memory of its body', async () => {
    const sockets = collectSockets()
    const { upstream, pool } = await startPool()
    const { call, over, isTaken } = createCall()
    pool.call(call)
    await until(() => sockets.length > 0)
    for (const socket of sockets) {
      Object.defineProperty(socket, 'writableLength', { get: () => 1 })
    }
    expect(await over).toEqual(good)
    expect(isTaken()).toBe(false)
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
    const { call, over, isTaken } = createCall({ body: large(), mayFinish })
    pool.call(call)
    expect(await over).toEqual(good)
    expect(isTaken()).toBe(false)
    await rest()
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
      end(last, isTaken) {
        first.call.end(last, isTaken)
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
  ])('sends no whole request of %s', async (_name, options) => {
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
  test.each([
    ['', goodAnswer],
    [
      ', however long its connection may be kept',
      goodAnswer.replace('\r\n\r\n', '\r\nKeep-Alive: timeout=600\r\n\r\n'),
    ],
  ])('is over at once where nothing is under way%s', async (_name, answer) => {
    // No tick helps.
    holdTime()
    const { upstream, pool } = await startPool()
    upstream.answer = (socket) => socket.write(answer)
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
    const sockets = collectSockets()
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
    const sockets = collectSockets()
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
