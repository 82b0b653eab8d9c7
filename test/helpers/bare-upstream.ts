import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { Certificate } from './certificate.ts'

/** A request as it came over the wire, whole. */
export interface BareRequest {
  readonly head: string
  readonly body: string
}

/** An upstream of bare sockets, that never closes one unless it is told to. */
export interface BareUpstream {
  readonly port: number
  readonly seen: readonly BareRequest[]
  /** In the order in which they were accepted. */
  readonly connections: readonly Socket[]
  /** How many of them the gate has not closed. */
  openCount(): number
  /** When the head of a request is there. Answers whether to read on. */
  onHead: (socket: Socket) => boolean
  /** When a request is whole. */
  answer: (socket: Socket, request: BareRequest) => void
}

export const goodAnswer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'

/** Stopped when the test is over. */
export async function startBareUpstream({
  host = '127.0.0.1',
  certificate,
}: {
  host?: string
  certificate?: Certificate
} = {}): Promise<BareUpstream> {
  const seen: BareRequest[] = []
  const connections: Socket[] = []
  const open = new Set<Socket>()

  function serve(socket: Socket) {
    connections.push(socket)
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('end', () => open.delete(socket))
    socket.on('error', () => {})
    let received = Buffer.alloc(0)
    let isHeadSeen = false
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      const end = received.indexOf('\r\n\r\n') + 4
      if (end < 4) return
      const head = received.toString('latin1', 0, end)
      if (!isHeadSeen) {
        isHeadSeen = true
        if (!upstream.onHead(socket)) return void socket.pause()
      }
      const length = Number(/^content-length: (\d+)\r$/im.exec(head)?.[1] ?? 0)
      if (received.length < end + length) return
      const request = { head, body: received.toString('latin1', end, end + length) }
      received = received.subarray(end + length)
      isHeadSeen = false
      seen.push(request)
      upstream.answer(socket, request)
    })
  }
  const options = { allowHalfOpen: true, noDelay: true }
  const server =
    certificate === undefined
      ? createServer(options, serve)
      : createTlsServer({ ...options, ...certificate }, serve)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, host, resolve)
  })
  server.on('tlsClientError', () => {})
  onTestFinished(() => {
    for (const socket of connections) socket.destroy()
    server.close()
  })
  const upstream: BareUpstream = {
    port: (server.address() as AddressInfo).port,
    seen,
    connections,
    openCount: () => open.size,
    onHead: () => true,
    answer: (socket) => socket.write(goodAnswer),
  }
  return upstream
}

/** Lets the event loop turn until it is so. */
export async function until(isSo: () => boolean) {
  while (!isSo()) await nextTurn()
}
