import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { systemRandom } from '../src/random.ts'
import type { Seats } from '../src/service/ports/limits.ts'
import { turns } from '../src/turns.ts'
import { takeData } from './data-mode.ts'
import {
  badBase64,
  encryptionRequired,
  printable,
  type Reply,
  replyText,
  tooManyConnections,
} from './reply.ts'

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
/** How long a client that is turned away, or has nothing more to say, may take to go. */
const lingerMs = 1_000

const unlimited: Seats = { take: () => () => {} }

/**
 * smtp-server where its hooks do not reach. Classes, because that is how it is extended:
 * - AUTH is not listed, and not taken, before TLS; without a certificate smtp-server would take it in the clear;
 * - the greeting comes when the operator wants it to, and not always after 100 ms;
 * - the enhanced code is the one that stands in a reply's text, not smtp-server's guess from the basic code;
 * - a connection between two messages ends as soon as the server closes, and one whose client has said QUIT at once;
 * - replies are ASCII, whatever their text is made of, and go out when the turn of the event loop is over;
 * - an id costs no call of the system;
 * - the end of a message is searched for, and not watched for: `takeData`.
 */
export class GateServer extends SMTPServer {
  readonly takesPlainAuth: boolean
  readonly greetingDelayMs: number
  readonly #seats: Seats
  readonly #isTrustedProxy: (remoteAddress: string) => boolean
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
    const leave = this.#seats.take(options?.remoteAddress ?? socket.remoteAddress ?? '')
    if (leave === undefined) return turnAway(socket)
    const connection = new GateConnection(this, socket, options)
    this.connections.add(connection)
    connection.on('error', (error) => this._onError(error))
    connection.on('connect', (client) => this._onClientConnect(client))
    connection.init()
    const deadline = setTimeout(() => connection.endUnlessAuthenticated(), authDeadlineMs)
    connection.onClosed = () => {
      clearTimeout(deadline)
      leave()
    }
  }

  /** Accepts nothing new, ends idle connections now and the others after the transaction that they are in. */
  finish(deadlineMs: number): Promise<void> {
    this.finishing = true
    const open = () => [...this.connections].filter((each) => each instanceof GateConnection)
    return new Promise((resolve) => {
      const deadline = setTimeout(
        () => {
          for (const connection of open()) connection.end()
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
      for (const connection of open()) connection.endIfIdle()
    })
  }
}

/** Too many are here already: without a greeting, and without waiting for what the client says to that. */
function turnAway(socket: Socket | TLSSocket) {
  socket.on('error', () => {})
  socket.resume()
  socket.end(`${tooManyConnections.code} ${replyText(tooManyConnections)}\r\n`)
  const linger = setTimeout(() => socket.destroy(), lingerMs)
  socket.once('close', () => clearTimeout(linger))
}

/** Codes that ask the client to go on with what it is doing. */
const goOn = new Set([334, 354])

const shuttingDown = '4.3.2 Shutting down'

class GateConnection extends SMTPConnection {
  readonly #takesPlainAuth: boolean
  readonly #gate: GateServer
  #hidesAuth = false
  #takesMessage = false
  /** Not a listener of the socket: STARTTLS takes those away. */
  onClosed = () => {}

  constructor(
    server: GateServer,
    socket: Socket | TLSSocket,
    options?: SMTPConnectionOptions | null,
  ) {
    super(server, socket, options)
    // Cheaper to write than UTF-8, and the same: all replies are `printable`.
    socket.setDefaultEncoding('latin1')
    this.#gate = server
    this.#takesPlainAuth = server.takesPlainAuth
  }

  override _createParser() {
    const parser = super._createParser()
    parser._feedDataStream = (chunk, done) => takeData(parser, chunk, done)
    return parser
  }

  /** smtp-server's delay is no setting, and its timer holds on to a connection that is gone. */
  override init() {
    this._setListeners(() => this.#greet())
  }

  #greet() {
    const { greetingDelayMs } = this.#gate
    if (greetingDelayMs === 0) return this.connectionReady()
    const greeting = setTimeout(() => this.connectionReady(), greetingDelayMs)
    this._socket.once('close', () => clearTimeout(greeting))
  }

  endIfIdle() {
    if (!this.#inTransaction() && !this._handlerPending) this.end()
  }

  endUnlessAuthenticated() {
    if (this.session.user) return
    this.send(421, '4.4.2 Timeout: no authentication')
    this.close()
  }

  end() {
    this.send(421, shuttingDown)
    this.close()
  }

  /** For each socket of the connection. Node may keep one over TLS whose client broke off while it was written to. */
  override _armTimeout(socket: Socket = this._socket) {
    super._armTimeout(socket)
    socket.once('end', () => {
      const linger = setTimeout(() => socket.destroy(), lingerMs).unref()
      // Else it would hold on to the socket, and to all that hangs on that, long after it is gone.
      socket.once('close', () => clearTimeout(linger))
    })
  }

  override _onCloseEvent(hadError?: boolean) {
    super._onCloseEvent(hadError)
    this.onClosed()
  }

  #inTransaction(): boolean {
    // Without an envelope before the greeting, whatever its type says.
    return Boolean((this.session.envelope as { mailFrom?: unknown } | undefined)?.mailFrom)
  }

  override handler_EHLO(command: Buffer, callback: () => void) {
    this.#hidesAuth = !this.#mayAuthenticate()
    super.handler_EHLO(command, callback)
    this.#hidesAuth = false
  }

  /**
   * The client has nothing more to say (RFC 5321 §4.1.1.10), and is not waited for: that takes a timer, another turn and two calls of
   * the system. What the system has not taken yet would be lost, though; over TLS there is always something.
   */
  override handler_QUIT(_command: Buffer, callback: () => void) {
    this.send(221, 'Bye')
    const socket = this._socket
    socket.uncork()
    if (socket.writableLength === 0) socket.destroy()
    this.close()
    callback()
  }

  override handler_AUTH(command: Buffer, callback: () => void) {
    const [, initialResponse = ''] = /^\S+\s+\S+\s+(\S+)/.exec(command.toString('latin1')) ?? []
    if (!this.#mayAuthenticate()) return this.#refuse(encryptionRequired, callback)
    if (!isBase64(initialResponse)) return this.#refuse(badBase64, callback)
    super.handler_AUTH(command, callback)
  }

  /** The next handler is waiting for a line of an AUTH that is under way. */
  override _onCommand(command: Buffer, callback?: () => void) {
    if (this._nextHandler !== false) {
      const response = command.toString('latin1').trim()
      if (response !== '*' && !isBase64(response)) {
        this._nextHandler = (_line, done) => this.#refuse(badBase64, done)
      }
    }
    super._onCommand(command, callback)
  }

  #refuse(reply: Reply, callback: () => void) {
    this.send(reply.code, replyText(reply))
    callback()
  }

  override _isSupported(command: string): boolean {
    if (this.#hidesAuth && command === 'AUTH') return false
    return super._isSupported(command)
  }

  override send(code: number, data?: string | string[] | null, context?: string | false) {
    turns.cork(this._socket)
    const text = code === 421 && typeof data === 'string' ? this.#whyClosed(data) : data
    const shown = Array.isArray(text) ? text.map(printable) : printable(text ?? '')
    super.send(code, shown, hasEnhancedCode(text) ? false : context)
    // smtp-server forgets the envelope only after the answer to the message.
    const answersMessage = this.#takesMessage
    this.#takesMessage = code === 354
    if (!this.#gate.finishing || goOn.has(code)) return
    if (!answersMessage && this.#inTransaction()) return
    // RFC 5321 §3.8: not without a word.
    if (code !== 421 && code !== 221) super.send(421, shuttingDown, false)
    this.close()
  }

  /** smtp-server's 421 are all 4.4.2, which is that of the idle client only. */
  #whyClosed(text: string): string {
    if (hasEnhancedCode(text) || text.startsWith('Timeout')) return text
    return this.#gate.finishing ? shuttingDown : `4.7.0 ${text}`
  }

  #mayAuthenticate(): boolean {
    return this.secure || this.#takesPlainAuth
  }
}

/** Node would skip what does not belong there. Padding may be missing, and `=` alone is empty (RFC 4954 §4). */
function isBase64(text: string): boolean {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text)
}

function hasEnhancedCode(text: string | string[] | null | undefined): boolean {
  return typeof text === 'string' && /^[245]\.\d{1,3}\.\d{1,3}( |$)/.test(text)
}
