import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { takeData } from './data-mode.ts'
import type { GateServer } from './gate-server.ts'
import { createOutputBuffer } from './output-buffer.ts'
import { badBase64, encryptionRequired, formatReply, type Reply, replyText } from './reply.ts'

/** How long a client that is turned away, or has nothing more to say, may take to go. */
export const lingerMs = 1_000

/** Codes that ask the client to go on with what it is doing. */
const goOn = new Set([334, 354])

const shuttingDown = '4.3.2 Shutting down'

/**
 * smtp-server's connection where its hooks do not reach:
 * - AUTH is not listed, and not taken, before TLS; without a certificate smtp-server would take it in the clear;
 * - the greeting comes when the operator wants it to, and not always after 100 ms;
 * - the enhanced code is the one that stands in a reply's text, not smtp-server's guess from the basic code;
 * - it ends as soon as its client has said QUIT, and between two messages as soon as the server closes;
 * - replies are ASCII, whatever their text is made of, and go out when the turn of the event loop is over, or the connection is;
 * - the end of a message is searched for, and not watched for: `takeData`.
 */
export class GateConnection extends SMTPConnection {
  readonly #takesPlainAuth: boolean
  readonly #gate: GateServer
  /** Cheaper to write than UTF-8, and the same: replies are ASCII. */
  readonly #replies = createOutputBuffer(() => this._socket, 'latin1')
  #watched: Socket | undefined
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
  }

  end() {
    this.send(421, shuttingDown)
  }

  /** For each socket of the connection, and again whenever a client has waited for long. */
  override _armTimeout(socket: Socket = this._socket) {
    super._armTimeout(socket)
    if (socket === this.#watched) return
    this.#watched = socket
    // Ahead of Node's own listener, which ends our side: nothing can be written then.
    socket.prependOnceListener('end', () => {
      this.#replies.flush()
      // Node may keep one over TLS whose client broke off while it was written to.
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
   * The client says nothing after this (RFC 5321 §4.1.1.10). To wait until it closes would take a timer, another turn and two system
   * calls. It is waited for where something is still to be written: a reply that the system has not taken, or the end of TLS; and
   * where the answer to a message goes out with this one. A byte that came after all would reset the connection, and that answer.
   */
  override handler_QUIT(_command: Buffer, callback: () => void) {
    const socket = this._socket
    const isAlone = this.#replies.isEmpty() && socket.writableLength === 0
    this.send(221, 'Bye')
    this.#replies.flush()
    if (isAlone && socket.writableLength === 0) socket.destroy()
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

  /** In place of smtp-server's, which writes each reply by itself, and keeps the last refusal for nobody here. */
  override send(code: number, data?: string | string[] | null, context?: string | false) {
    this.#reply(code, data ?? '', context)
    // smtp-server forgets the envelope only after the answer to the message.
    const answersMessage = this.#takesMessage
    this.#takesMessage = code === 354
    if (code === 421) return this.close()
    if (!this.#gate.finishing || goOn.has(code)) return
    if (!answersMessage && this.#inTransaction()) return
    // RFC 5321 §3.8: not without a word.
    if (code === 221) this.close()
    else this.end()
  }

  #reply(code: number, data: string | string[], context?: string | false) {
    // Until the handshake is over `_socket` is still the one below it: a reply would be in the clear, among records of TLS.
    if (this._upgrading) return
    const text = code === 421 && typeof data === 'string' ? this.#whyClosed(data) : data
    const enhanced = hasEnhancedCode(text) ? '' : this._getEnhancedStatusCode(code, context)
    this.#replies.write(formatReply({ code, enhanced, text }))
  }

  /** What waits goes out first: behind the end of a socket nothing can be written. */
  override close() {
    this.#replies.flush()
    super.close()
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

function hasEnhancedCode(text: string | string[]): boolean {
  return typeof text === 'string' && /^[245]\.\d{1,3}\.\d{1,3}( |$)/.test(text)
}
