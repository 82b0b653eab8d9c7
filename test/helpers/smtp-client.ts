import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { onTestFinished } from 'vitest'

/** Speaks SMTP line by line, so that whole replies can be compared. */
export interface SmtpClient {
  /** What the server said first. */
  readonly greeting: string
  socket(): Socket
  /** The next whole reply, every line of it. */
  reply(): Promise<string>
  /** Sends one line and gives the reply. */
  say(line: string): Promise<string>
  /** Sends bytes as they are. */
  write(bytes: string | Buffer): void
  /** The handshake after STARTTLS was answered 220. */
  upgrade(): Promise<void>
  /** Resolves when the server has closed the connection; what it said meanwhile. */
  ended(): Promise<string>
}

/** `address` is `host:port`. The greeting has been read; `preamble` is what a proxy says before it. */
export async function connectSmtp(
  address: string,
  { implicitTls = false, preamble = '' } = {},
): Promise<SmtpClient> {
  const [host = '', port] = address.split(':')
  const to = { host, port: Number(port), noDelay: true }
  let socket: Socket = implicitTls ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to)
  let received = ''
  let isEnded = false
  let wake = () => {}
  onTestFinished(() => void socket.destroy())

  function listen() {
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      isEnded = true
      wake()
    })
  }

  async function until<T>(found: () => T | undefined): Promise<T> {
    for (;;) {
      const value = found()
      if (value !== undefined) return value
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }

  function reply() {
    return until(() => {
      const whole = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(received)?.[0]
      if (whole === undefined) {
        if (isEnded) throw new Error(`the connection ended after: ${JSON.stringify(received)}`)
        return undefined
      }
      received = received.slice(whole.length)
      return whole.trimEnd().replaceAll('\r\n', '\n')
    })
  }

  const client = {
    socket: () => socket,
    reply,
    say(line: string) {
      socket.write(`${line}\r\n`)
      return reply()
    },
    write: (bytes: string | Buffer) => void socket.write(bytes),
    async upgrade() {
      socket.removeAllListeners()
      const secured = connectTls({ socket, rejectUnauthorized: false })
      socket = secured
      listen()
      await new Promise<void>((resolve, reject) => {
        secured.once('secureConnect', resolve)
        secured.once('close', () => reject(new Error('the handshake failed')))
      })
    },
    ended: () => until(() => (isEnded ? received : undefined)),
  }

  listen()
  if (preamble !== '') socket.write(preamble)
  return { ...client, greeting: await reply() }
}

/** The initial response of AUTH PLAIN (RFC 4616). */
export function plain(password: string, user = 'api', authzid = ''): string {
  return `AUTH PLAIN ${Buffer.from(`${authzid}\0${user}\0${password}`).toString('base64')}`
}
