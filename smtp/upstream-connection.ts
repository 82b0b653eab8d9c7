import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** Where the relay behind the gate is, and how to speak to it. */
export interface SmtpUpstream {
  readonly host: string
  readonly port: number
  readonly security: 'none' | 'implicit' | 'starttls'
  readonly auth?: { readonly user: string; readonly pass: string }
  /** PEM of the authorities to trust instead of the usual ones. */
  readonly ca?: string
}

export interface UpstreamReply {
  readonly code: number
  /** Without the code. */
  readonly lines: readonly string[]
}

/** What a relay says when a transaction begins. */
export interface Beginning {
  readonly mail: UpstreamReply
  readonly rcpt: UpstreamReply | undefined
}

/** The upstream is unreachable, gone, or answered nonsense: nothing that the client did. */
export class UpstreamTrouble extends Error {}

/**
 * One connection to the relay, in step with the client, so that each recipient gets the relay's own answer. Every method
 * throws `UpstreamTrouble` and destroys the connection when something is wrong with it.
 */
export interface UpstreamConnection {
  /** Keywords of EHLO in capitals, with their parameters (RFC 5321 §4.1.1.1). */
  readonly extensions: ReadonlyMap<string, string>
  command(line: string): Promise<UpstreamReply>
  /**
   * MAIL and the first RCPT, in one write where the relay has PIPELINING (RFC 2920). Answers what it says of each; of the
   * recipient nothing if it does not take the sender.
   */
  begin(mail: string, rcpt: string): Promise<Beginning>
  /** Writes a part of the message; a promise, to be waited for, while the upstream takes no more. */
  write(bytes: Buffer): Promise<void> | undefined
  /** To be waited for before the dot is decided on, which would go out late behind bytes that the upstream does not take. */
  taken(): Promise<void> | undefined
  /** A refusal that came before the message was over: nobody reads the rest. */
  earlyReply(): UpstreamReply | undefined
  /** Writes the final dot, in the turn of the event loop in which it is called. */
  finish(): Promise<UpstreamReply>
  isUsable(): boolean
  destroy(): void
}

/** RFC 5321 §4.5.3.1.5 says 512 octets; many servers write more. */
const maxReplyLineBytes = 4096
const maxReplyLines = 100

export async function connectUpstream(
  upstream: SmtpUpstream,
  { hostname, timeoutMs }: { hostname: string; timeoutMs: number },
): Promise<UpstreamConnection> {
  const { host, port, security, ca, auth } = upstream
  const servername = isIP(host) === 0 ? host : ''
  const tlsOptions = { servername, ...(ca !== undefined && { ca }) }
  const socket =
    security === 'implicit' ? connectTls({ host, port, ...tlsOptions }) : connectTcp({ host, port })
  const line = createReplyLine(socket, timeoutMs)
  try {
    await line.opened(security === 'implicit' ? 'secureConnect' : 'connect')
    expectCode(await line.reply(), 220, 'greeting')
    let extensions = await greet(line, hostname)
    if (security === 'starttls') {
      expectCode(await line.command('STARTTLS'), 220, 'STARTTLS')
      await line.secure(() => connectTls({ socket, host, ...tlsOptions }))
      // RFC 3207 §4.2: what was learnt before counts no more.
      extensions = await greet(line, hostname)
    }
    if (auth !== undefined) await logIn(line, extensions, auth)
    const begin = extensions.has('PIPELINING') ? line.beginAtOnce : line.beginInStep
    return { ...line.connection, extensions, begin }
  } catch (error) {
    line.connection.destroy()
    throw asTrouble(error)
  }
}

type ReplyLine = ReturnType<typeof createReplyLine>

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

interface Waiting {
  resolve(reply: UpstreamReply): void
  reject(error: Error): void
  /** What to say when it has waited for too long. */
  readonly late: string
}

/** Replies in, commands out, over a socket that may be replaced by an encrypted one. */
function createReplyLine(first: Socket, timeoutMs: number) {
  let socket = first
  let buffered = ''
  let lines: string[] = []
  /** Of the reply whose lines are coming in. */
  let replyCode = 0
  /** Who waits for replies, in their order. */
  const waiting: Waiting[] = []
  let early: UpstreamReply | undefined
  /** Whether the command that waits for its answer is DATA; a message may come after 354, and ends with its dot. */
  let isDataAsked = false
  let inMessage = false
  let trouble: UpstreamTrouble | undefined
  let isCorked = false
  /** Whether some of the message has gone out. If not, it can be one write, with its dot. */
  let isBegun = false
  // One for the whole connection, set anew for each reply: a timer for each costs more.
  const timer = setTimeout(() => waiting[0] && fail(waiting[0].late), timeoutMs).unref()

  function fail(message: string) {
    if (trouble !== undefined) return
    trouble = new UpstreamTrouble(message)
    clearTimeout(timer)
    socket.destroy()
    for (const { reject } of waiting.splice(0)) reject(trouble)
  }

  function listen(to: Socket) {
    socket = to
    to.on('data', read)
    to.on('error', (error) => fail(error.message))
    to.on('close', () => fail('the upstream closed the connection'))
  }

  function read(chunk: Buffer) {
    buffered += chunk.toString('latin1')
    for (let end = buffered.indexOf('\n'); end >= 0; end = buffered.indexOf('\n')) {
      const text = buffered.slice(0, buffered[end - 1] === '\r' ? end - 1 : end)
      buffered = buffered.slice(end + 1)
      if (!readLine(text)) return
    }
    if (buffered.length > maxReplyLineBytes) fail('the upstream sent an endless line')
  }

  /** RFC 5321 §4.2: each line has the same code, and a space after it says that it is the last. */
  function readLine(text: string): boolean {
    const [, digits = '', separator, rest = ''] = /^([2-5]\d\d)(?:([ -])(.*))?$/.exec(text) ?? []
    const code = Number(digits)
    if (code === 0 || text.length > maxReplyLineBytes) {
      fail('the upstream sent something that is no reply')
      return false
    }
    if (lines.length > 0 && code !== replyCode) {
      fail(`the upstream answered ${replyCode} and ${code} in one reply`)
      return false
    }
    replyCode = code
    lines.push(rest)
    if (separator === '-') {
      if (lines.length > maxReplyLines) fail('the upstream sent an endless reply')
      return trouble === undefined
    }
    const complete = { code, lines }
    lines = []
    const asked = waiting.shift()
    if (asked !== undefined) {
      if (waiting.length > 0) timer.refresh()
      inMessage = isDataAsked && code === 354
      isDataAsked = false
      asked.resolve(complete)
      return true
    }
    // Only a refusal can come before the final dot: a message that was not sent cannot have been taken.
    if (inMessage && early === undefined && code >= 400) {
      early = complete
      return true
    }
    fail(`the upstream spoke without being asked: ${code}`)
    return false
  }

  function wait(late: string): Promise<UpstreamReply> {
    if (trouble !== undefined) return Promise.reject(trouble)
    timer.refresh()
    return new Promise((resolve, reject) => {
      waiting.push({ resolve, reject, late })
    })
  }

  const reply = () => wait('the upstream did not answer in time')

  function command(line: string): Promise<UpstreamReply> {
    if (trouble === undefined) socket.write(`${line}\r\n`)
    isDataAsked = line === 'DATA'
    if (isDataAsked) isBegun = false
    return reply()
  }

  async function beginInStep(mailLine: string, rcptLine: string): Promise<Beginning> {
    const mail = await command(mailLine)
    return { mail, rcpt: mail.code === 250 ? await command(rcptLine) : undefined }
  }

  async function beginAtOnce(mailLine: string, rcptLine: string): Promise<Beginning> {
    if (trouble === undefined) socket.write(`${mailLine}\r\n${rcptLine}\r\n`)
    const [mail, rcpt] = await Promise.allSettled([reply(), reply()])
    if (mail.status === 'rejected') throw mail.reason
    if (mail.value.code === 250) {
      if (rcpt.status === 'rejected') throw rcpt.reason
      return { mail: mail.value, rcpt: rcpt.value }
    }
    // Whoever refuses a sender may hang up before the recipient. One that takes it is in a transaction that is not this one.
    if (rcpt.status === 'fulfilled' && rcpt.value.code < 400) {
      fail('the upstream took a recipient without a sender')
    }
    return { mail: mail.value, rcpt: undefined }
  }

  async function waitFor(event: string, of: Socket) {
    of.once(event, () => waiting.shift()?.resolve({ code: 0, lines: [] }))
    await wait('the upstream could not be reached in time')
  }

  listen(first)
  first.setNoDelay(true)

  return {
    opened: (event: 'connect' | 'secureConnect') => waitFor(event, first),
    reply,
    command,
    beginAtOnce,
    beginInStep,

    /** Replaces the socket by an encrypted one over it. Nothing that was sent in the clear may be left to read. */
    async secure(wrap: () => Socket) {
      if (buffered !== '') fail('the upstream sent something between STARTTLS and TLS')
      if (trouble !== undefined) throw trouble
      first.removeAllListeners('data')
      const secured = wrap()
      listen(secured)
      await waitFor('secureConnect', secured)
    },

    connection: {
      command,

      write(bytes: Buffer) {
        if (trouble !== undefined) throw trouble
        if (early !== undefined) return undefined
        cork()
        if (socket.write(bytes)) return undefined
        uncork()
        const isFull = socket.writableLength >= socket.writableHighWaterMark
        return isFull ? drained() : undefined
      },

      taken() {
        if (trouble !== undefined) throw trouble
        if (early !== undefined || !isBegun) return undefined
        uncork()
        return socket.writableLength > 0 ? drained() : undefined
      },

      earlyReply: () => early,

      finish() {
        if (early !== undefined) return Promise.resolve(early)
        inMessage = false
        const answer = command('.')
        uncork()
        return answer
      },

      isUsable: () => trouble === undefined && early === undefined && !socket.destroyed,
      destroy: () => fail('given up'),
    },
  }

  /** What is written before the event loop turns is one write to the operating system. */
  function cork() {
    if (isCorked) return
    isCorked = true
    socket.cork()
    process.nextTick(uncork)
  }

  function uncork() {
    if (!isCorked) return
    isCorked = false
    isBegun = true
    socket.uncork()
  }

  /** While a full socket drains, the upstream may go away, or answer early and read no more. */
  function drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const of = socket
      const limit = setTimeout(() => fail('the upstream takes no more'), timeoutMs)
      function settle() {
        clearTimeout(limit)
        of.off('close', settle)
        of.off('data', settle)
        if (trouble !== undefined) reject(trouble)
        else resolve()
      }
      // Not `drain`, which a socket has only for those who wrote more than it wants.
      of.write('', (error) => {
        if (!error) settle()
      })
      of.on('close', settle)
      of.on('data', settle)
    })
  }
}

/** What is passed on to a client: one line, printable; begins with the enhanced code where there is one. */
export function textOf({ lines: [first = '', ...others] }: UpstreamReply): string {
  const enhanced = /^[245]\.\d{1,3}\.\d{1,3} /.exec(first)?.[0] ?? ''
  const rest = others.map((line) =>
    enhanced !== '' && line.startsWith(enhanced) ? line.slice(enhanced.length) : line,
  )
  const text = [first, ...rest].join(' ').replace(/[^\x20-\x7e]/g, '?')
  return text.slice(0, 480)
}

function asTrouble(error: unknown): UpstreamTrouble {
  return error instanceof UpstreamTrouble
    ? error
    : new UpstreamTrouble(error instanceof Error ? error.message : String(error))
}
