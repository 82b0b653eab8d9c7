import {
  SMTPServer,
  type SMTPServerAddress,
  type SMTPServerDataStream,
  type SMTPServerSession,
} from 'smtp-server'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import { findField, listAddresses } from './bounds.ts'
import { type ListenAddress, listen } from './listen.ts'
import type { EnvelopeAddress, WritableMailbox } from './mailbox.ts'
import { readMessage } from './mime.ts'

const maxMessageBytes = 50_000_000

/** What is kept of an envelope is bounded like everything else. */
const maxRecipients = 1000

/** How long a connection in the middle of a TLS handshake may hold up `close`. Others end at once. */
const closeTimeoutMs = 1000

export interface SmtpSinkDeps {
  readonly mailbox: WritableMailbox
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'uuid'>
}

export interface SmtpSinkOptions extends ListenAddress {
  /** With it STARTTLS is offered. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer } | undefined
}

export interface SmtpSink {
  readonly port: number
  close(): Promise<void>
}

/** An SMTP server that accepts every message and every credential, and keeps the message and the user name. */
export async function startSmtpSink(
  { host, port, tls }: SmtpSinkOptions,
  { mailbox, clock, random }: SmtpSinkDeps,
): Promise<SmtpSink> {
  const server = new SMTPServer({
    name: 'postern-sink',
    heloResponse: '%s',
    size: maxMessageBytes,
    maxRecipients,
    rejectOversized: true,
    hideENHANCEDSTATUSCODES: false,
    hideDSN: false,
    disableReverseLookup: true,
    authOptional: true,
    allowInsecureAuth: true,
    closeTimeout: closeTimeoutMs,
    logger: false,
    ...(tls ?? { disabledCommands: ['STARTTLS'] }),
    onConnect(session, callback) {
      answerPlainly(server, session.id)
      callback()
    },
    onAuth: ({ username }, _session, callback) =>
      callback(null, { user: { username: username ?? '' } }),
    onData(stream, session, callback) {
      keep(stream, session).then(
        (id) => callback(null, `Ok: queued as ${id}`),
        (fault: Error) => callback(fault), // the client left in the middle: nobody hears this
      )
    },
  })

  async function keep(stream: SMTPServerDataStream, session: SMTPServerSession): Promise<string> {
    const id = random.uuid()
    const chunks: Buffer[] = []
    for await (const chunk of stream) {
      if (stream.sizeExceeded) chunks.length = 0
      else chunks.push(chunk)
    }
    if (stream.sizeExceeded) return id // `rejectOversized` answers with 552
    const raw = Buffer.concat(chunks)
    const { headerFromAddresses, ...read } = readMessage(raw)
    const mailFrom = envelopeAddress(session.envelope.mailFrom)
    const rcptTo = session.envelope.rcptTo.map(envelopeAddress)
    mailbox.add({
      protocol: 'smtp',
      id,
      receivedAt: clock.now(),
      senders: listAddresses([mailFrom.address, ...headerFromAddresses]),
      recipients: listAddresses(rcptTo.map(({ address }) => address)),
      ...read,
      tokenId: findField(read.headers, 'Postern-Token-Id'),
      accountId: findField(read.headers, 'Postern-Account-Id'),
      mailFrom,
      rcptTo,
      helo: session.hostNameAppearsAs,
      username: session.user?.username ?? null,
      secure: session.secure,
      raw,
      size: raw.byteLength,
      truncated: false,
    })
    return id
  }

  // A socket that breaks in the middle of a message is reported here, and is of no interest; without a listener it
  // would end the process. That the port is taken is told by `listen`.
  server.on('error', () => {})
  return {
    port: await listen(server.server, { host, port }),
    close: () => closeServer(server),
  }
}

/** Says 421 on each connection and ends it, without waiting for the client to do the same. */
function closeServer(server: SMTPServer): Promise<void> {
  return new Promise((resolve) => {
    const open = [...server.connections]
    server.close(() => resolve())
    for (const connection of open) {
      connection.send(421, 'The sink is closing')
      if (!connection._upgrading) connection._socket.destroySoon()
    }
  })
}

/** smtp-server marks an accepted message 2.6.0, a code about its media; a relay says 2.0.0, as 250 does elsewhere. */
function answerPlainly(server: SMTPServer, sessionId: string): void {
  const connection = [...server.connections].find(({ id }) => id === sessionId)
  if (connection === undefined) return
  const send = connection.send.bind(connection)
  connection.send = (code, data, context) =>
    send(code, data, context === 'DATA_OK' ? undefined : context)
}

function envelopeAddress(given: SMTPServerAddress | false): EnvelopeAddress {
  if (given === false) return { address: '', parameters: {} }
  return { address: given.address, parameters: given.args === false ? {} : { ...given.args } }
}
