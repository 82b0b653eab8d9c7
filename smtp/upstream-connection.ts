import { connect as connectTcp, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { createOnread, type OnBytes } from '../src/onread.ts'
import { createMessageWriter, type MessageWriter } from './message-writer.ts'
import {
  type Beginning,
  createReplyLine,
  type ReplyLine,
  type ReplyLineOptions,
  type UpstreamReply,
  UpstreamTrouble,
} from './reply-line.ts'

/** Replies are short. */
const readBytes = 4 * 1024

/** Where the relay behind the gate is, and how to speak to it. */
export interface SmtpUpstream {
  readonly host: string
  readonly port: number
  readonly security: 'none' | 'implicit' | 'starttls'
  readonly auth?: { readonly user: string; readonly pass: string }
  /** PEM of the authorities to trust instead of the usual ones. */
  readonly ca?: string
}

/**
 * One connection to the relay, in step with the client, so that each recipient gets the relay's own answer. Every method
 * throws `UpstreamTrouble` and destroys the connection when something is wrong with it.
 */
export interface UpstreamConnection extends MessageWriter {
  /** Keywords of EHLO in capitals, with their parameters (RFC 5321 §4.1.1.1). */
  readonly extensions: ReadonlyMap<string, string>
  command(line: string): Promise<UpstreamReply>
  /** MAIL and the first RCPT: in one write where the relay has PIPELINING (RFC 2920), and does not answer more slowly then. */
  begin(mail: string, rcpt: string): Promise<Beginning>
  /** A refusal that came before the message was over: nobody reads the rest. */
  earlyReply(): UpstreamReply | undefined
  isUsable(): boolean
  destroy(): void
}

export async function connectUpstream(
  upstream: SmtpUpstream,
  { hostname, ...lineOptions }: { hostname: string } & ReplyLineOptions,
): Promise<UpstreamConnection> {
  const { host, port, security, ca, auth } = upstream
  const servername = isIP(host) === 0 ? host : ''
  const tlsOptions = { servername, ...(ca !== undefined && { ca }) }
  function open(hear: OnBytes) {
    // What is wrapped later must not go on reading by itself.
    if (security === 'starttls') return connectTcp({ host, port })
    const options = { host, port, onread: createOnread(readBytes, hear) }
    return security === 'implicit' ? connectTls({ ...options, ...tlsOptions }) : connectTcp(options)
  }
  const line = createReplyLine(open, lineOptions)
  try {
    await line.opened(security === 'implicit' ? 'secureConnect' : 'connect')
    expectCode(await line.reply(), 220, 'greeting')
    let extensions = await greet(line, hostname)
    if (security === 'starttls') {
      expectCode(await line.command('STARTTLS'), 220, 'STARTTLS')
      await line.secure((socket) => connectTls({ socket, host, ...tlsOptions }))
      // RFC 3207 §4.2: what was learnt before counts no more.
      extensions = await greet(line, hostname)
    }
    if (auth !== undefined) await logIn(line, extensions, auth)
    const mayPipeline = extensions.has('PIPELINING')
    const { command, earlyReply, isUsable, destroy } = line
    const writer = createMessageWriter(line, lineOptions.timeoutMs)
    return {
      ...writer,
      extensions,
      begin: (mail, rcpt) => line.begin(mail, rcpt, mayPipeline),
      command,
      earlyReply,
      isUsable,
      destroy,
    }
  } catch (error) {
    line.destroy()
    throw asTrouble(error)
  }
}

async function greet(line: ReplyLine, hostname: string): Promise<ReadonlyMap<string, string>> {
  const { code, lines } = await line.command(`EHLO ${hostname}`)
  if (code === 500 || code === 502) {
    // A server of before 1995 (RFC 5321 §3.2).
    expectCode(await line.command(`HELO ${hostname}`), 250, 'HELO')
    return new Map()
  }
  if (code !== 250) throw new UpstreamTrouble(`EHLO was answered ${code}`)
  return new Map(
    lines.slice(1).map((text) => {
      const [keyword = '', ...parameters] = text.trim().split(/\s+/)
      return [keyword.toUpperCase(), parameters.join(' ').toUpperCase()]
    }),
  )
}

async function logIn(
  line: ReplyLine,
  extensions: ReadonlyMap<string, string>,
  { user, pass }: { user: string; pass: string },
) {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const mechanisms = (extensions.get('AUTH') ?? '').split(' ')
  if (mechanisms.includes('PLAIN')) {
    expectCode(await line.command(`AUTH PLAIN ${base64(`\0${user}\0${pass}`)}`), 235, 'AUTH')
  } else if (mechanisms.includes('LOGIN')) {
    expectCode(await line.command('AUTH LOGIN'), 334, 'AUTH')
    expectCode(await line.command(base64(user)), 334, 'AUTH')
    expectCode(await line.command(base64(pass)), 235, 'AUTH')
  } else {
    throw new UpstreamTrouble('the upstream offers neither AUTH PLAIN nor LOGIN')
  }
}

function expectCode({ code }: { code: number }, expected: number, what: string) {
  if (code !== expected) throw new UpstreamTrouble(`${what} was answered ${code}`)
}

function asTrouble(error: unknown): UpstreamTrouble {
  return error instanceof UpstreamTrouble
    ? error
    : new UpstreamTrouble(error instanceof Error ? error.message : String(error))
}
