import type { Socket } from 'node:net'
import type { Clock } from '../src/clock.ts'
import type { OnBytes } from '../src/onread.ts'
import { createOutputBuffer } from './output-buffer.ts'
import { printable } from './reply.ts'

export interface UpstreamReply {
  readonly code: number
  /** Without the code. */
  readonly lines: readonly string[]
}

/** The relay's replies to MAIL and to the first RCPT. */
export interface Beginning {
  readonly mail: UpstreamReply
  /** Undefined when the sender was refused. */
  readonly rcpt: UpstreamReply | undefined
}

/** The upstream is unreachable, gone, or answered nonsense: nothing that the client did. */
export class UpstreamTrouble extends Error {}

/** RFC 5321 §4.5.3.1.5 says 512 octets; many servers write more. */
const maxReplyLineBytes = 4096
const maxReplyLines = 100
/** RFC 5321 §4.2: a code, and a space or a hyphen before any text. */
const replyLine = /^[2-5]\d\d(?:[ -].*)?$/
/**
 * Where two replies to one write come so far apart, the second may have waited for the acknowledgement of the first (RFC 896),
 * with which an operating system takes its time (RFC 1122 §4.2.3.2; Linux 40 ms).
 */
const apartMs = 30
/** Then so many transactions begin in step, before the next one shows whether it still is so. */
const beginningsInStep = 50

interface PendingReply {
  resolve(reply: UpstreamReply): void
  reject(error: Error): void
  /** What to say when it has waited for too long. */
  readonly late: string
}

export interface ReplyLineOptions {
  /** How long a reply may take. */
  readonly timeoutMs: number
  readonly clock: Pick<Clock, 'monotonic'>
}

/** Replies in, commands out, over a socket that may be replaced by an encrypted one. */
export function createReplyLine(
  open: (hear: OnBytes) => Socket,
  { timeoutMs, clock }: ReplyLineOptions,
) {
  let buffered = ''
  let lines: string[] = []
  /** Of the reply whose lines are coming in. */
  let replyCode = 0
  /** One at a time: a second would leave the first without an answer. */
  let pending: PendingReply | undefined
  let early: UpstreamReply | undefined
  /** Whether the command that waits for its answer is DATA; a message may come after 354, and ends with its dot. */
  let isDataAsked = false
  let inMessage = false
  let trouble: UpstreamTrouble | undefined
  let leftInStep = 0
  let onRefused = () => {}
  /** UTF-8: an address may be (RFC 6531). */
  const commands = createOutputBuffer(() => socket, 'utf8')
  // One for the whole connection, set anew for each reply: a timer for each costs more.
  const timer = setTimeout(() => pending && fail(pending.late), timeoutMs).unref()

  function fail(message: string) {
    if (trouble !== undefined) return
    trouble = new UpstreamTrouble(message)
    clearTimeout(timer)
    socket.destroy()
    takePending()?.reject(trouble)
  }

  function listen(to: Socket): Socket {
    // A socket with `onread` has none, and Node ignores that option for one over another.
    to.on('data', hear)
    to.on('error', (error) => fail(error.message))
    return to.on('close', () => fail('the upstream closed the connection'))
  }

  function hear(chunk: Buffer) {
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
    if (!replyLine.test(text) || text.length > maxReplyLineBytes) {
      fail('the upstream sent something that is no reply')
      return false
    }
    const code = Number(text.slice(0, 3))
    if (lines.length > 0 && code !== replyCode) {
      fail(`the upstream answered ${replyCode} and ${code} in one reply`)
      return false
    }
    replyCode = code
    lines.push(text.slice(4))
    if (text[3] === '-') {
      if (lines.length > maxReplyLines) fail('the upstream sent an endless reply')
      return trouble === undefined
    }
    const complete = { code, lines }
    lines = []
    // Nobody can answer a command that has not gone out.
    const asked = commands.isEmpty() ? takePending() : undefined
    if (asked !== undefined) {
      inMessage = isDataAsked && code === 354
      isDataAsked = false
      asked.resolve(complete)
      return true
    }
    // Only a refusal can come before the final dot: a message that was not sent cannot have been taken.
    if (inMessage && early === undefined && code >= 400) {
      early = complete
      onRefused()
      return true
    }
    fail(`the upstream spoke without being asked: ${code}`)
    return false
  }

  function takePending(): PendingReply | undefined {
    const taken = pending
    pending = undefined
    return taken
  }

  function onReply(
    resolve: PendingReply['resolve'],
    reject: PendingReply['reject'],
    late = 'the upstream did not answer in time',
  ) {
    if (trouble !== undefined) return reject(trouble)
    timer.refresh()
    pending = { resolve, reject, late }
  }

  function reply(): Promise<UpstreamReply> {
    return new Promise((resolve, reject) => onReply(resolve, reject))
  }

  function command(line: string): Promise<UpstreamReply> {
    commands.write(`${line}\r\n`)
    isDataAsked = line === 'DATA'
    return reply()
  }

  function begin(mailLine: string, rcptLine: string, mayPipeline: boolean): Promise<Beginning> {
    if (mayPipeline && leftInStep === 0) return beginPipelined(mailLine, rcptLine)
    leftInStep = Math.max(0, leftInStep - 1)
    return beginInStep(mailLine, rcptLine)
  }

  async function beginInStep(mailLine: string, rcptLine: string): Promise<Beginning> {
    const mail = await command(mailLine)
    return { mail, rcpt: mail.code === 250 ? await command(rcptLine) : undefined }
  }

  /** Callbacks, not promises: both replies may come in one piece, and who waits for the second must be there by then. */
  function beginPipelined(mailLine: string, rcptLine: string): Promise<Beginning> {
    commands.write(`${mailLine}\r\n${rcptLine}\r\n`)
    return new Promise((resolve, reject) => {
      onReply((mail) => {
        const mailAt = clock.monotonic()
        function accept(rcpt: UpstreamReply) {
          if (clock.monotonic() - mailAt >= apartMs) leftInStep = beginningsInStep
          resolve({ mail, rcpt })
        }
        if (mail.code === 250) return onReply(accept, reject)
        // Whoever refuses a sender may hang up before the recipient.
        onReply(
          (rcpt) => refuse(mail, rcpt),
          () => refuse(mail),
        )
      }, reject)

      function refuse(mail: UpstreamReply, rcpt?: UpstreamReply) {
        // A relay that takes this recipient is in a transaction that is not this one.
        if (rcpt !== undefined && rcpt.code < 400) {
          fail('the upstream took a recipient without a sender')
        }
        resolve({ mail, rcpt: undefined })
      }
    })
  }

  function waitFor(event: string, of: Socket): Promise<void> {
    of.once(event, () => takePending()?.resolve({ code: 0, lines: [] }))
    return new Promise((resolve, reject) =>
      onReply(() => resolve(), reject, 'the upstream could not be reached in time'),
    )
  }

  const first = listen(open(hear)).setNoDelay(true)
  let socket = first

  return {
    opened: (event: 'connect' | 'secureConnect') => waitFor(event, first),
    reply,
    command,
    /** MAIL and the first RCPT: in one write where the relay may have both at once, and is none the slower for it. */
    begin,

    /** Replaces the socket by an encrypted one over it. Nothing that was sent in the clear may be left to read. */
    async secure(wrap: (first: Socket) => Socket) {
      if (buffered !== '') fail('the upstream sent something between STARTTLS and TLS')
      if (trouble !== undefined) throw trouble
      first.removeAllListeners('data')
      socket = listen(wrap(first))
      await waitFor('secureConnect', socket)
    },

    socket: () => socket,
    trouble: () => trouble,
    earlyReply: () => early,
    /** False once something went wrong, or a message was refused before it was over. Whether one is under way, the caller knows. */
    isUsable: () => trouble === undefined && early === undefined && !socket.destroyed,
    fail,
    destroy: () => fail('given up'),

    /** To the message, of which the dot was written in this turn of the event loop. */
    replyToMessage() {
      inMessage = false
      return reply()
    },

    /** Calls back at a refusal before the message is over. One at a time: the last that asked. */
    whenRefused(listener: () => void) {
      onRefused = listener
    },
  }
}

export type ReplyLine = ReturnType<typeof createReplyLine>

/** What is passed on to a client: one line, printable; begins with the enhanced code where there is one. */
export function textOf({ lines: [first = '', ...others] }: UpstreamReply): string {
  const enhanced = /^[245]\.\d{1,3}\.\d{1,3} /.exec(first)?.[0] ?? ''
  const rest = others.map((line) =>
    enhanced !== '' && line.startsWith(enhanced) ? line.slice(enhanced.length) : line,
  )
  return printable([first, ...rest].join(' ')).slice(0, 480)
}
