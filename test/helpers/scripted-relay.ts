import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createServer as createTlsServer, TLSSocket } from 'node:tls'
import type { Certificate } from './certificate.ts'

/** An SMTP relay that does what a test tells it to, and remembers what it was told. */
export interface ScriptedRelay {
  readonly port: number
  /** Every line that was no message, in order; `.` for the end of one. */
  readonly commands: string[]
  /** Messages that came to their final dot, dot-stuffed as they came, without the dot. */
  readonly messages: Buffer[]
  /** Bytes of the message that is arriving now. */
  readonly arriving: () => number
  connections: number
  /** EHLO keywords. */
  extensions: string[]
  /** The answer to a line (`greeting` for the greeting): text, null for silence, undefined for the usual one. */
  answer: (line: string, socket: Socket) => string | null | undefined
  /** How the bytes of an answer are written. */
  deliver: (socket: Socket, bytes: string) => void
  /** Called while a message arrives, as often as a piece of it does. */
  duringMessage: (socket: Socket) => void
  /** Cuts every open connection. */
  cut(): void
  close(): Promise<void>
}

const usual: Readonly<Record<string, string>> = {
  greeting: '220 relay.test ESMTP',
  HELO: '250 relay.test',
  MAIL: '250 2.1.0 Sender ok',
  RCPT: '250 2.1.5 Recipient ok',
  DATA: '354 Go on',
  '.': '250 2.6.0 Taken as R1',
  RSET: '250 2.0.0 Ok',
  QUIT: '221 2.0.0 Bye',
  AUTH: '235 2.7.0 Welcome',
  STARTTLS: '220 2.0.0 Ready',
}

export async function startScriptedRelay(
  tls: { implicit: boolean; certificate: Certificate } | undefined = undefined,
): Promise<ScriptedRelay> {
  const sockets = new Set<Socket>()
  let arriving = 0

  function serve(first: Socket) {
    relay.connections += 1
    let socket = first
    let buffered = Buffer.alloc(0)
    let inMessage = false
    /** The message so far, in the pieces in which it came. */
    let pieces: Buffer[] = []

    function send(line: string, standard: string | undefined) {
      const text = relay.answer(line, socket)
      const reply = text === undefined ? standard : text
      if (reply === null || reply === undefined || socket.destroyed) return undefined
      relay.deliver(socket, `${reply}\r\n`)
      return reply
    }

    /** Takes what is part of the message; true when its end was in it. */
    function readMessage(): boolean {
      const end = buffered.indexOf('\r\n.\r\n')
      if (end < 0) {
        // The end may be cut in two.
        const taken = Math.max(0, buffered.length - 4)
        pieces.push(Buffer.from(buffered.subarray(0, taken)))
        arriving += taken
        buffered = buffered.subarray(taken)
        return false
      }
      relay.messages.push(Buffer.concat([...pieces, buffered.subarray(0, end + 2)]))
      pieces = []
      buffered = buffered.subarray(end + 5)
      return true
    }

    function read(chunk: Buffer) {
      buffered = Buffer.concat([buffered, chunk])
      for (;;) {
        if (inMessage) {
          if (!readMessage()) return relay.duringMessage(socket)
          inMessage = false
          relay.commands.push('.')
          send('.', usual['.'])
          continue
        }
        const end = buffered.indexOf('\r\n')
        if (end < 0) return
        const line = buffered.subarray(0, end).toString()
        buffered = buffered.subarray(end + 2)
        relay.commands.push(line)
        const verb = line.split(' ')[0]?.toUpperCase() ?? ''
        const lines = ['relay.test', ...relay.extensions]
        const ehlo = lines.map((text, i) => `250${i < lines.length - 1 ? '-' : ' '}${text}`)
        const reply = send(line, verb === 'EHLO' ? ehlo.join('\r\n') : (usual[verb] ?? '500 What?'))
        if (verb === 'DATA' && reply?.startsWith('354')) {
          inMessage = true
          arriving = 0
        }
        if (verb === 'QUIT') socket.end()
        if (verb === 'STARTTLS' && reply?.startsWith('220') && tls !== undefined) upgrade()
      }
    }

    function upgrade() {
      socket.removeAllListeners('data')
      attach(new TLSSocket(socket, { isServer: true, ...tls?.certificate }))
    }

    function attach(to: Socket) {
      socket = to
      sockets.add(to)
      to.on('data', read)
      to.on('error', () => {})
      to.on('close', () => sockets.delete(to))
    }

    attach(first)
    send('greeting', usual.greeting)
  }

  const options = { noDelay: true }
  const server =
    tls?.implicit === true
      ? createTlsServer({ ...options, ...tls.certificate }, serve)
      : createServer(options, serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  const relay: ScriptedRelay = {
    port: (server.address() as AddressInfo).port,
    commands: [],
    messages: [],
    arriving: () => arriving,
    connections: 0,
    extensions: [
      'PIPELINING',
      '8BITMIME',
      'SMTPUTF8',
      'DSN',
      'SIZE 50000000',
      'ENHANCEDSTATUSCODES',
    ],
    answer: () => undefined,
    deliver: (socket, bytes) => socket.write(bytes),
    duringMessage: () => {},
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    close() {
      relay.cut()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return relay
}
