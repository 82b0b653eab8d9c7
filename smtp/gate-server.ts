import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import type { SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { systemRandom } from '../src/random.ts'
import { createRoster } from '../src/roster.ts'
import type { Seats } from '../src/service/ports/limits.ts'
import { GateConnection, lingerMs } from './connection.ts'
import { formatReply, tooManyConnections } from './reply.ts'

export interface GateServerOptions {
  readonly takesPlainAuth: boolean
  readonly greetingDelayMs?: number | undefined
  /** Connections of one client. */
  readonly clientSeats?: Seats | undefined
  /** Whether a connection from there begins with a PROXY header, whose address is believed. */
  readonly isTrustedProxy?: ((remoteAddress: string) => boolean) | undefined
}

/** As long as HTTP has for a TLS handshake. smtp-server waits for silence alone, which a byte now and then ends. */
const arrivalDeadlineMs = 15_000
/** smtp-server's own. */
const usualGreetingDelayMs = 100
/** Whoever trickles in a byte now and then is never idle: without AUTH by then, it has no business here. */
const authDeadlineMs = 300_000

const unlimited: Seats = { take: () => () => {} }

/**
 * smtp-server's server where its hooks do not reach: who may connect, what an id is, which connections are open, and how they end
 * when it closes. A class, because that is how it is extended.
 */
export class GateServer extends SMTPServer {
  readonly takesPlainAuth: boolean
  readonly greetingDelayMs: number
  readonly #seats: Seats
  readonly #isTrustedProxy: (remoteAddress: string) => boolean
  /** smtp-server's own list stays empty, so that its `maxClients` and `close` do nothing: there are seats, and `finish`. */
  readonly #open = createRoster<GateConnection>()
  /** smtp-server's own mark would refuse the next command of a transaction. */
  finishing = false

  constructor(
    options: SMTPServerOptions,
    {
      takesPlainAuth,
      greetingDelayMs = usualGreetingDelayMs,
      clientSeats = unlimited,
      isTrustedProxy = () => false,
    }: GateServerOptions,
  ) {
    // With a certificate smtp-server would refuse what `handler_AUTH` lets through.
    super({ ...options, allowInsecureAuth: takesPlainAuth })
    this.takesPlainAuth = takesPlainAuth
    this.greetingDelayMs = greetingDelayMs
    this.#seats = clientSeats
    this.#isTrustedProxy = isTrustedProxy
  }

  /** smtp-server compares with a list of addresses, and networks are none. */
  override _expectsProxyHeader(socket: Socket): boolean {
    return this.#isTrustedProxy(socket.remoteAddress ?? '')
  }

  /** smtp-server asks the system for ten random bytes for each id, and Node has those of a UUID at hand. */
  override _handleProxy(socket: Socket, callback: Parameters<SMTPServer['_handleProxy']>[1]) {
    if (this._expectsProxyHeader(socket)) super._handleProxy(socket, callback)
    else callback(null, { id: systemRandom.uuid() })
  }

  /** A client that is still shaking hands has a seat too, and gives it back for the one that it is greeted in. */
  override _acceptSocket(socket: Socket, handshake: boolean) {
    const isProxied = this._expectsProxyHeader(socket)
    if (!handshake && !isProxied) return super._acceptSocket(socket, handshake)
    const leave = isProxied ? () => {} : this.#seats.take(socket.remoteAddress ?? '')
    const release = leave !== undefined && super._acceptSocket(socket, handshake)
    if (!release) {
      socket.destroy()
      return false
    }
    // From above: see `finish`.
    const destroy = () => this._pendingSockets.get(socket)?.destroy()
    const deadline = setTimeout(destroy, arrivalDeadlineMs)
    return function arrive() {
      clearTimeout(deadline)
      leave()
      release()
    }
  }

  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null) {
    const leaveSeat = this.#seats.take(options?.remoteAddress ?? socket.remoteAddress ?? '')
    if (leaveSeat === undefined) return turnAway(socket)
    const connection = new GateConnection(this, socket, options)
    const leaveRoster = this.#open.enter(connection)
    connection.on('error', (error) => this._onError(error))
    connection.on('connect', (client) => this._onClientConnect(client))
    connection.init()
    const deadline = setTimeout(() => connection.endUnlessAuthenticated(), authDeadlineMs)
    connection.onClosed = () => {
      clearTimeout(deadline)
      leaveRoster()
      leaveSeat()
    }
  }

  /** Accepts nothing new, ends idle connections now and the others after the transaction that they are in. */
  finish(deadlineMs: number): Promise<void> {
    this.finishing = true
    return new Promise((resolve) => {
      const deadline = setTimeout(
        () => {
          for (const connection of this.#open.all()) connection.end()
          resolve()
        },
        Math.max(deadlineMs, 1),
      )
      this.server.close(() => {
        clearTimeout(deadline)
        resolve()
      })
      // Not greeted yet, and perhaps never: destroyed from below, since Node crashes on a TLS wrap torn in its handshake.
      for (const socket of this._pendingSockets.values()) socket.destroy()
      for (const connection of this.#open.all()) connection.endIfIdle()
    })
  }
}

/** Too many are here already: without a greeting, and without waiting for what the client says to that. */
function turnAway(socket: Socket | TLSSocket) {
  socket.on('error', () => {})
  socket.resume()
  socket.end(formatReply(tooManyConnections))
  const linger = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(linger))
}
