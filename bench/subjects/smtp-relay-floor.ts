import { connect, type Socket } from 'node:net'
import nodemailer from 'nodemailer'
import type { SMTPServerDataStream, SMTPServerEnvelope } from 'smtp-server'
import { createDotStuffing } from '../../smtp/dot-stuffing.ts'
import { createPauseWatch } from '../measure/pauses.ts'
import { serveAgent } from '../processes/agent.ts'
import { listenAsFloor } from './smtp-floor-server.ts'

/**
 * A gate that only forwards: smtp-server takes any password, and the client's 250 waits for the relay's. No checks, no log,
 * nothing added, nothing looked for but dots. An answer that is not the usual one ends the process, and with it the run.
 */

/** Hands one message on; calls back when the relay has taken it. */
type Relay = (
  envelope: SMTPServerEnvelope,
  stream: SMTPServerDataStream,
  onTaken: (error?: Error | null) => void,
) => void

/**
 * Raw sockets, kept for the next message. MAIL, RCPT and DATA are one write (RFC 2920), and after 354 the message streams,
 * what arrives together in one write.
 */
function pipelining(port: number): Relay {
  const idle: Conversation[] = []

  async function relay(
    { mailFrom, rcptTo }: SMTPServerEnvelope,
    stream: SMTPServerDataStream,
    onTaken: () => void,
  ) {
    const relayed = idle.pop() ?? (await greet(port))
    const { socket, expect } = relayed
    const sender = mailFrom === false ? '' : mailFrom.address
    const recipients = rcptTo.map(({ address }) => `RCPT TO:<${address}>\r\n`)
    expect([250, ...recipients.map(() => 250), 354], () => {
      const stuff = createDotStuffing()
      let isCorked = false
      stream.on('data', (piece: Buffer) => {
        if (!isCorked) {
          isCorked = true
          socket.cork()
          process.nextTick(() => {
            isCorked = false
            socket.uncork()
          })
        }
        if (socket.write(stuff(piece))) return
        stream.pause()
        socket.once('drain', () => stream.resume())
      })
      stream.on('end', () => {
        expect([250], () => {
          idle.push(relayed)
          onTaken()
        })
        socket.write('.\r\n')
      })
    })
    socket.write(`MAIL FROM:<${sender}>\r\n${recipients.join('')}DATA\r\n`)
  }
  return (...message) => void relay(...message)
}

interface Conversation {
  readonly socket: Socket
  /** Calls back when replies of these codes have come, and only these. */
  expect(codes: number[], onDone: () => void): void
}

function greet(port: number): Promise<Conversation> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let received = ''
  let expected: number[] = []
  let onAllCame = () => {}
  function expect(codes: number[], onDone: () => void) {
    expected = codes
    onAllCame = onDone
  }
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    for (let end = received.indexOf('\r\n'); end >= 0; end = received.indexOf('\r\n')) {
      const line = received.slice(0, end)
      received = received.slice(end + 2)
      if (line[3] === '-') continue
      if (Number(line.slice(0, 3)) !== expected.shift()) throw new Error(`the relay said ${line}`)
      if (expected.length === 0) onAllCame()
    }
  })
  return new Promise((resolve) => {
    expect([220], () => {
      expect([250], () => resolve({ socket, expect }))
      socket.write('EHLO floor.example\r\n')
    })
  })
}

/** What is usually written: nodemailer's pool, which composes nothing here but opens, greets, checks and counts. */
function withNodemailer(port: number): Relay {
  const transport = nodemailer.createTransport({
    ...{ host: '127.0.0.1', port, secure: false, ignoreTLS: true },
    ...{ pool: true, maxConnections: 50, maxMessages: Number.POSITIVE_INFINITY },
  })
  return ({ mailFrom, rcptTo }, stream, onTaken) => {
    const from = mailFrom === false ? '' : mailFrom.address
    const to = rcptTo.map(({ address }) => address)
    transport.sendMail({ envelope: { from, to }, raw: stream }, (error) => onTaken(error))
  }
}

const calls = {
  takeWorstPauses: createPauseWatch(),

  listen({ upstream, by }: { readonly upstream: number; readonly by: 'sockets' | 'nodemailer' }) {
    const relay = by === 'sockets' ? pipelining(upstream) : withNodemailer(upstream)
    return listenAsFloor((stream, { envelope }, callback) => relay(envelope, stream, callback))
  },
}
export type SmtpRelayFloor = typeof calls

serveAgent(calls)
