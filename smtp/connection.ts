import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SMTPServer, type SMTPServerOptions } from 'smtp-server'
import { SMTPConnection, type SMTPConnectionOptions } from 'smtp-server/lib/smtp-connection.js'
import { badBase64, encryptionRequired, type Reply, replyText } from './reply.ts'

/**
 * smtp-server where its hooks do not reach. Classes, because that is how it is extended:
 * - AUTH is not listed, and not taken, before TLS; without a certificate smtp-server would take it in the clear;
 * - the enhanced code is the one that stands in a reply's text, not smtp-server's guess from the basic code;
 * - a connection between two messages ends as soon as the server closes.
 */
export class GateServer extends SMTPServer {
  readonly takesPlainAuth: boolean
  /** smtp-server's own mark would refuse the next command of a transaction. */
  finishing = false

  constructor(options: SMTPServerOptions, takesPlainAuth: boolean) {
    // With a certificate smtp-server would refuse what `handler_AUTH` lets through.
    super({ ...options, allowInsecureAuth: takesPlainAuth })
    this.takesPlainAuth = takesPlainAuth
  }

  override connect(socket: Socket | TLSSocket, options?: SMTPConnectionOptions | null) {
    const connection = new GateConnection(this, socket, options)
    this.connections.add(connection)
    connection.on('error', (error) => this._onError(error))
    connection.on('connect', (client) => this._onClientConnect(client))
    connection.init()
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

/** Codes that ask the client to go on with what it is doing. */
const goOn = new Set([334, 354])

const shuttingDown = '4.3.2 Shutting down'

class GateConnection extends SMTPConnection {
  readonly #takesPlainAuth: boolean
  readonly #gate: GateServer
  #hidesAuth = false
  #takesMessage = false

  constructor(
    server: GateServer,
    socket: Socket | TLSSocket,
    options?: SMTPConnectionOptions | null,
  ) {
    super(server, socket, options)
    this.#gate = server
    this.#takesPlainAuth = server.takesPlainAuth
  }

  endIfIdle() {
    if (!this.#inTransaction() && !this._handlerPending) this.end()
  }

  end() {
    this.send(421, shuttingDown)
    this.close()
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

  override handler_AUTH(command: Buffer, callback: () => void) {
    const [, , initialResponse = ''] = command.toString('latin1').trim().split(/\s+/)
    if (!this.#mayAuthenticate()) return this.#refuse(encryptionRequired, callback)
    if (!isBase64(initialResponse)) return this.#refuse(badBase64, callback)
    super.handler_AUTH(command, callback)
  }

  /** The next handler is waiting for a line of an AUTH that is under way. */
  override _onCommand(command: Buffer, callback?: () => void) {
    const response = command.toString('latin1').trim()
    if (this._nextHandler !== false && response !== '*' && !isBase64(response)) {
      this._nextHandler = (_line, done) => this.#refuse(badBase64, done)
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
    const text = code === 421 && typeof data === 'string' ? this.#whyClosed(data) : data
    super.send(code, text, hasEnhancedCode(text) ? false : context)
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
