import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createHttpUpstream, type Forwarded } from '../../middleware/forward.ts'
import { goodAnswer, startBareUpstream, until } from '../helpers/bare-upstream.ts'
import { rawHttp } from '../helpers/raw-http.ts'
import { holdTime, rest, timeoutMs } from '../helpers/upstream-call.ts'

/** What becomes of an Email API's answer on its way into the client's. */

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
          {
            method: incoming.method ?? '',
            path: incoming.url ?? '',
            fields: { host: undefined, lines: '' },
            body: [],
          },
          outgoing,
          {
            mayFinish: () => true,
            bodyTaken: () => {},
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
  function open(path = '/', version = '1.1') {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write(`GET ${path} HTTP/${version}\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`)
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
    ['a short answer', [100]],
    ['a long answer', [14_000]],
    ['an answer in two pieces', [5_000, 4_000]],
  ])(
    'gets %s unchanged, though it waits behind another while its connection reads the next one',
    async (_name, lengths) => {
      const upstream = await startBareUpstream()
      let first: Socket | undefined
      upstream.answer = async (socket, { head }) => {
        if (head.startsWith('GET /first')) {
          first = socket
          return
        }
        const length = lengths.reduce((sum, each) => sum + each)
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n`)
        for (const each of lengths) {
          socket.write((head.startsWith('GET /second') ? 'a' : 'b').repeat(each))
          await rest()
        }
      }
      const { url, forwarded } = await startForwarder(`http://127.0.0.1:${upstream.port}`)
      const ask = (path: string) => `GET /${path} HTTP/1.1\r\nHost: a\r\n\r\n`
      const asked = rawHttp(url, ask('first') + ask('second'), { answers: 2 })
      await until(() => first !== undefined && forwarded.length === 1)
      expect(await (await fetch(url)).text()).not.toContain('a')
      expect(upstream.connections).toHaveLength(2)
      first?.write(goodAnswer)
      const [, second] = await asked
      expect(second?.body).toMatch(/^a+$/)
    },
  )

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

  /** Time for clients is over when the test says so. */
  function holdPatience() {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    return { isWaiting: () => vi.getTimerCount() > 0 }
  }

  /** Asks for more than all that lies between takes, and reads nothing until it is told to. */
  async function startDeafClient(version?: '1.0') {
    const { isWaiting } = holdPatience()
    const total = 100 * 1024 * 1024
    const upstream = await startBareUpstream()
    upstream.answer = (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n`)
      socket.write(Buffer.alloc(total, 'x'))
    }
    const { open, forwarded, broken } = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const client = open('/', version).pause()
    await until(isWaiting)
    return { client, total, isWaiting, upstream, forwarded, broken }
  }

  test('who reads nothing holds a connection for no longer than a minute', async () => {
    const { upstream, forwarded, broken } = await startDeafClient()
    vi.advanceTimersByTime(59_999)
    await rest()
    expect(upstream.openCount()).toBe(1)
    vi.advanceTimersByTime(1)
    await until(() => upstream.openCount() === 0)
    expect(forwarded).toEqual(['done'])
    expect(broken).toEqual([])
  })

  test('who leaves without having read is watched no more', async () => {
    const { client, upstream, isWaiting } = await startDeafClient()
    client.destroy()
    await until(() => upstream.openCount() === 0)
    expect(isWaiting()).toBe(false)
  })

  test('who is cut off so, and takes an end for the end of an answer, gets none', async () => {
    const { client } = await startDeafClient('1.0')
    const error = new Promise((resolve) => client.once('error', resolve))
    vi.advanceTimersByTime(60_000)
    client.resume()
    expect(await error).toMatchObject({ code: 'ECONNRESET' })
  })

  test('who stops reading again and again, each time for less, gets all of it', async () => {
    const { client, total, isWaiting, forwarded } = await startDeafClient()
    let received = 0
    client.on('data', (bytes) => {
      received += bytes.length
    })
    for (let stop = 0; stop < 5; stop++) {
      vi.advanceTimersByTime(40_000)
      const wanted = received + total / 10
      client.resume()
      await until(() => received > wanted)
      client.pause()
      await until(isWaiting)
    }
    client.resume()
    await until(() => received > total)
    await until(() => forwarded.length === 1)
    expect(isWaiting()).toBe(false)
  })

  /** Two requests on one connection, of which the upstream holds the first. */
  async function startBehind(answerSecond: (socket: Socket) => void, version = '1.1') {
    const { isWaiting } = holdPatience()
    const upstream = await startBareUpstream()
    let first: Socket | undefined
    upstream.answer = (socket, { head }) => {
      if (head.startsWith('GET /first')) first = socket
      else answerSecond(socket)
    }
    const forwarder = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const client = forwarder.open('/first', version)
    client.write(`GET /second HTTP/${version}\r\nHost: a\r\n\r\n`)
    let received = ''
    client.on('data', (bytes) => {
      received += bytes.toString('latin1')
    })
    await until(() => first !== undefined)
    return {
      ...{ isWaiting, upstream, forwarder, client },
      received: () => received,
      answerFirst: (answer = goodAnswer) => first?.write(answer),
    }
  }

  const long = 'x'.repeat(200_000)
  const longAnswer = `HTTP/1.1 200 OK\r\nContent-Length: ${long.length}\r\n\r\n${long}`

  test('whose long answer waits behind a slow one is waited for', async () => {
    const behind = await startBehind((socket) => socket.write(longAnswer))
    await until(behind.isWaiting)
    vi.advanceTimersByTime(600_000)
    await rest()
    expect(behind.upstream.openCount()).toBe(2)
    behind.answerFirst()
    await until(() => behind.received().endsWith(long))
    expect(behind.isWaiting()).toBe(false)
  })

  test('whose long answer waits behind one that it reads slowly is waited for', async () => {
    const behind = await startBehind((socket) => socket.write(longAnswer))
    const { client, received, forwarder } = behind
    await until(behind.isWaiting)
    const total = 60 * 1024 * 1024
    behind.answerFirst(`HTTP/1.1 200 OK\r\nContent-Length: ${total}\r\n\r\n${'y'.repeat(total)}`)
    for (let stop = 1; stop <= 5; stop++) {
      await until(() => received().length > (stop * total) / 8)
      client.pause()
      // Until all that lies between is full.
      for (let turns = 0; turns < 50; turns++) {
        await nextTurn()
        if (forwarder.responses[0]?.socket?.writableLength === 0) turns = 0
      }
      vi.advanceTimersByTime(40_000)
      client.resume()
    }
    await until(() => received().endsWith(long))
    expect(behind.isWaiting()).toBe(false)
  })

  test.each(['1.0', '1.1'])(
    'of HTTP/%s whose answer is broken off behind another gets that one whole, and the end',
    async (version) => {
      const { client, forwarder, answerFirst, received } = await startBehind(
        (socket) => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'),
        version,
      )
      await until(() => forwarder.broken.length === 1)
      client.pause()
      answerFirst(longAnswer)
      await until(() => forwarder.forwarded.length === 2)
      await rest()
      client.resume()
      await until(() => client.closed)
      expect(received().endsWith(long)).toBe(true)
    },
  )

  test('who reads nothing is cut off also when the end of its answer has come', async () => {
    const { isWaiting } = holdPatience()
    const upstream = await startBareUpstream()
    let answering: Socket | undefined
    upstream.answer = (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
      answering = socket
    }
    const { open, responses, forwarded } = await startForwarder(`http://127.0.0.1:${upstream.port}`)
    const client = open().pause()
    await until(() => answering !== undefined)
    // Read at once, each with what stands around it.
    const chunk = `3a98\r\n${'x'.repeat(15_000)}\r\n`
    const toClient = () => responses[0]?.socket
    // Until the operating system takes no more, and the gate soon not either.
    for (let sent = 15_000; (toClient()?.writableLength ?? 0) < 50_000; sent += 15_000) {
      answering?.write(chunk)
      await until(() => (toClient()?.bytesWritten ?? 0) > sent)
    }
    expect(isWaiting()).toBe(false)
    answering?.write(`${chunk}0\r\n\r\n`)
    await until(() => forwarded.length === 1)
    expect(isWaiting()).toBe(true)
    const gone = new Promise((resolve) => client.once('close', resolve))
    vi.advanceTimersByTime(60_000)
    client.resume()
    await gone
    expect(isWaiting()).toBe(false)
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
