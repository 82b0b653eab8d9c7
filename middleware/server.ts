import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { type AddressInfo, Server as TcpServer } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Server as TlsServer } from 'node:tls'
import type { Clock } from '../src/clock.ts'
import type { Metrics } from '../src/metrics.ts'
import { createRoster } from '../src/roster.ts'
import { errorBody } from './challenge.ts'

export interface HttpServerOptions {
  readonly host: string
  readonly port: number
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  /** What is left of a body after an early answer is read and thrown away up to here, then the connection is cut. */
  readonly maxDrainBytes: number
}

interface HttpServerDeps {
  readonly listener: RequestListener
  readonly clock: Pick<Clock, 'monotonic'>
  readonly metrics: Pick<Metrics, 'answered' | 'inFlight'>
}

/** What was said on one socket. */
interface Conversation {
  /** In the order of their requests. A set would make a new table for every few of them. */
  readonly unanswered: ServerResponse[]
  /** The request that came last. */
  latest: IncomingMessage
}

/** A client has this long for its handshake, for its header section, and for a whole request of any allowed size on a slow line. */
const headersTimeoutMs = 15_000
const requestTimeoutMs = 300_000
/** Node looks so often whether one of these is over. */
const checkIntervalMs = 5_000
const keepAliveTimeoutMs = 65_000
const maxHeaderBytes = 32 * 1024
/** How long a kept connection may go on being idle when the server closes. */
const idleGraceMs = 1_000
/** How long a client may take to close a connection that the gate has ended. */
const lingerMs = 1_000

/**
 * The listening socket of the HTTP gateway: everything about connections, nothing about tokens.
 */
export function createGatewayServer(deps: HttpServerDeps, options: HttpServerOptions) {
  const { clock, metrics, listener } = deps
  let closing = false
  let endsIdle = false
  const conversations = new WeakMap<Duplex, Conversation>()
  /** Sockets whose bytes the parser no longer understands: it complains of each piece that still comes. */
  const refused = new WeakSet<Duplex>()

  function serve(incoming: IncomingMessage, outgoing: ServerResponse) {
    const startedAt = clock.monotonic()
    metrics.inFlight('http', 1)
    const { unanswered } = goOn(incoming, outgoing)
    if (closing || asksForUpgrade(incoming)) outgoing.shouldKeepAlive = false
    // Before Node's own listener, which would read on without end and without telling.
    outgoing.prependListener('finish', () => drain(incoming, options.maxDrainBytes))
    outgoing.on('close', () => {
      metrics.inFlight('http', -1)
      unanswered.splice(unanswered.indexOf(outgoing), 1)
      if (endsIdle) setImmediate(endIdle)
      const status = outgoing.writableFinished ? outgoing.statusCode : 499
      metrics.answered('http', status, clock.monotonic() - startedAt)
    })
    listener(incoming, outgoing)
  }

  function goOn(incoming: IncomingMessage, outgoing: ServerResponse): Conversation {
    const { socket } = incoming
    const known = conversations.get(socket)
    if (known === undefined) {
      const begun = { unanswered: [outgoing], latest: incoming }
      conversations.set(socket, begun)
      return begun
    }
    known.unanswered.push(outgoing)
    known.latest = incoming
    return known
  }

  function endIdle() {
    endsIdle = true
    server.closeIdleConnections()
  }

  /** Ends a socket on which no further request can be read. */
  function refuseBytes(socket: Duplex, answer: string) {
    if (refused.has(socket)) return
    refused.add(socket)
    // After CONNECT nobody else would notice that the client is gone.
    socket.on('error', () => socket.destroy())
    answerLast(socket, answer)
  }

  /** Answers in the order of the requests: one that came whole must not be told that it was malformed. */
  function answerLast(socket: Duplex, answer: string) {
    const conversation = conversations.get(socket)
    const unanswered = [...(conversation?.unanswered ?? [])]
    // The refused bytes are the body of the latest request, or come after it.
    const isItsBody = conversation?.latest.complete === false
    const own = isItsBody ? unanswered.pop() : undefined
    const [earlier] = unanswered
    if (earlier !== undefined) earlier.once('close', () => answerLast(socket, answer))
    else if (!isItsBody || own?.headersSent === false) endWith(socket, answer)
    else socket.destroy()
  }

  const limits = {
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: checkIntervalMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
    // Counted by the gateway, which answers in JSON.
    requireHostHeader: false,
    noDelay: true,
  }
  const server: Server =
    options.tls === undefined
      ? createHttpServer(limits, serve)
      : createHttpsServer({ ...limits, ...options.tls, handshakeTimeout: headersTimeoutMs }, serve)
  // Not answered with "100 Continue" before the credential was looked at: `readBody` does that.
  server.on('checkContinue', serve)
  server.on('checkExpectation', (_incoming, outgoing: ServerResponse) => {
    const body = errorBody('Expectation Failed')
    outgoing
      .writeHead(417, {
        'Content-Type': 'application/json',
        'Content-Length': Buffer.byteLength(body),
        Connection: 'close',
      })
      .end(body)
  })
  // Node's own list lacks the connections that are still shaking hands, and those after CONNECT.
  const sockets = createRoster<Duplex>()
  server.on('connection', (socket: Duplex) => {
    socket.once('close', sockets.enter(socket))
  })
  server.on('clientError', (error: Error & { code?: string }, socket) => {
    refuseBytes(socket, clientErrorAnswer(error.code))
  })
  server.on('connect', (_incoming, socket: Duplex) => {
    refuseBytes(socket, rawAnswer(404, 'Not Found', 'Not Found'))
  })

  return {
    server,

    listen(): Promise<{ host: string; port: number }> {
      return new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(options.port, options.host, () => {
          server.off('error', reject)
          const { address, port } = server.address() as AddressInfo
          resolve({ host: address, port })
        })
      })
    },

    /** Serves new connections with a renewed certificate. */
    renew(pair: { readonly cert: string; readonly key: string }) {
      if ('setSecureContext' in server) (server as Server & TlsServer).setSecureContext(pair)
    },

    /**
     * Stops accepting, and finishes what is in flight; after the deadline the rest is cut off. A client that keeps its
     * connection may be writing its next request just now: for a while that is answered too, and told to be the last.
     */
    close(deadlineMs: number): Promise<void> {
      closing = true
      return new Promise((resolve) => {
        const idle = setTimeout(endIdle, Math.min(idleGraceMs, deadlineMs / 2))
        const deadline = setTimeout(() => {
          for (const socket of sockets.all()) socket.destroy()
        }, deadlineMs)
        // Not that of `http`, which cuts off idle connections at once.
        TcpServer.prototype.close.call(server, () => {
          clearTimeout(idle)
          clearTimeout(deadline)
          resolve()
        })
      })
    },
  }
}

/**
 * No upgrade is ever taken, and Node's parser drops what came right behind such a request: its client must not wait for an
 * answer to that (RFC 9112 §9.6).
 */
function asksForUpgrade({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && /\bupgrade\b/i.test(headers.connection ?? '')
}

/** A refusal may be sent before the body was read. What still comes is no new request, and not worth unlimited traffic. */
function drain(incoming: IncomingMessage, maxBytes: number) {
  if (incoming.complete || incoming.destroyed) return
  let rest = maxBytes
  incoming.on('data', (chunk: Buffer) => {
    rest -= chunk.length
    if (rest < 0) incoming.socket.destroy()
  })
  incoming.on('error', () => {})
  // At once: Node takes a request that nobody has begun to read for one that nobody will.
  incoming.read(0)
  incoming.resume()
}

/** Says a last word on a socket that Node's server no longer looks after: the client may never close its side. */
function endWith(socket: Duplex, answer: string) {
  if (!socket.writable) {
    socket.destroy()
    return
  }
  // Bytes that were not read would turn the end into a reset, and the client might lose the answer.
  socket.resume()
  socket.end(answer)
  const linger = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(linger))
}

/** What Node's parser refuses never becomes a request; it is answered here, in the shape of every other refusal. */
function clientErrorAnswer(code: string | undefined): string {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return rawAnswer(431, 'Request Header Fields Too Large', 'The header is too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return rawAnswer(408, 'Request Timeout', 'The request did not arrive in time')
    default:
      return rawAnswer(400, 'Bad Request', 'The request is malformed')
  }
}

function rawAnswer(status: number, phrase: string, sentence: string): string {
  const body = errorBody(sentence)
  return [
    `HTTP/1.1 ${status} ${phrase}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'Connection: close',
    '',
    body,
  ].join('\r\n')
}
