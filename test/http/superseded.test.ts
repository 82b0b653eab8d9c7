import { createServer, type Server, type Socket } from 'node:net'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { startHttpGateway } from '../helpers/http-gateway.ts'
import { createMemoryNode } from '../helpers/memory-node.ts'
import { collectSockets } from '../helpers/sockets.ts'

/** What was decided is asked once more in the turn in which the last byte goes to the Email API. */

const token = '4c2446b6e0f911ec94870a58a9feac02'
const send = (text: string) =>
  JSON.stringify({
    from: { email: 'hello@example.com' },
    to: [{ email: 'you@example.net' }],
    subject: 'Hello',
    text,
  })

let node: ReturnType<typeof createMemoryNode>
let upstream: Awaited<ReturnType<typeof startHeldUpstream>>
let gate: Awaited<ReturnType<typeof startHttpGateway>>

beforeEach(async () => {
  node = createMemoryNode()
  node.store.allow(token, ['example.com'])
  upstream = await startHeldUpstream()
  gate = await startHttpGateway(node.lookup, upstream.url, { trust: node.trust })
  onTestFinished(async () => {
    upstream.close()
    await gate.close()
  })
})

const post = (body: string) =>
  fetch(`${gate.url}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body,
  })

/** Runs `work` when the request has been decided, and is not yet on its way: its assertion is being signed. */
function whenDecided(work: () => void) {
  const { current } = gate.keyRing
  let done = false
  gate.keyRing.current = async () => {
    if (!done) {
      done = true
      work()
    }
    return current()
  }
}

describe('between the decision and the first byte', () => {
  test('a deletion that has answered keeps the message back', async () => {
    whenDecided(() => node.revoke(token))
    const answer = await post(send('x'))
    expect(answer.status).toBe(401)
    expect(upstream.received()).toBe(0)
  })

  test('a lease that ends is 503, and nothing of the message goes out', async () => {
    whenDecided(() => {
      node.trust.hasLease = false
    })
    const answer = await post(send('x'))
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
    expect(upstream.received()).toBe(0)
  })

  test('a permission that is taken away is 403', async () => {
    whenDecided(() => {
      node.change(token, () => node.store.allow(token, []))
      node.catchUp()
    })
    expect((await post(send('x'))).status).toBe(403)
    expect(upstream.received()).toBe(0)
  })

  test('a change that leaves the permission costs nothing but a second look', async () => {
    whenDecided(() => {
      node.change(token, () => {})
      node.catchUp()
    })
    upstream.letGo()
    expect((await post(send('x'))).status).toBe(200)
  })
})

test('a body that is on its way when its token is deleted never arrives whole', async () => {
  const body = send('x'.repeat(20 * 1024 * 1024))
  const answering = post(body)
  await upstream.hasSomething()
  node.revoke(token)
  upstream.letGo()
  expect((await answering).status).toBe(401)
  expect(upstream.received()).toBeGreaterThan(0)
  expect(upstream.isWhole()).toBe(false)
})

test('the last question comes when no more than the end of a body is left to write', async () => {
  const sockets = collectSockets()
  const toUpstream = () => sockets.find(({ remotePort }) => upstream.url.endsWith(`:${remotePort}`))
  const { mayDecide } = node.trust
  let written = 0
  node.trust.mayDecide = () => {
    const socket = toUpstream()
    written = socket === undefined ? 0 : socket.bytesWritten - socket.writableLength
    return mayDecide()
  }
  upstream.letGo()
  const body = send('x'.repeat(3.5 * 1024 * 1024))
  expect((await post(body)).status).toBe(200)
  expect(body.length - written).toBeLessThanOrEqual(4_096)
})

test('a body that is on its way while nothing changes arrives whole, however slowly', async () => {
  const body = send('x'.repeat(20 * 1024 * 1024))
  const answering = post(body)
  await upstream.hasSomething()
  upstream.letGo()
  expect((await answering).status).toBe(200)
  expect(upstream.isWhole()).toBe(true)
})

/** An Email API that reads nothing beyond the first bytes before it is let go, and answers when all is there. */
async function startHeldUpstream() {
  const sockets = new Set<Socket>()
  const first = Promise.withResolvers<void>()
  let held = true
  let received = 0
  let isWhole = false
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    let head = ''
    let bodyLength = 0
    let own = 0
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received += chunk.length
      own += chunk.length
      if (bodyLength === 0) head += chunk.toString('latin1')
      bodyLength = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
      first.resolve()
      if (held) socket.pause()
      if (own === head.indexOf('\r\n\r\n') + 4 + bodyLength) {
        isWhole = true
        socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}')
      }
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    received: () => received,
    isWhole: () => isWhole,
    hasSomething: () => first.promise,
    letGo() {
      held = false
      for (const socket of sockets) socket.resume()
    },
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}
