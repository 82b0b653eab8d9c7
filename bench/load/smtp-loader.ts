import { connect } from 'node:net'
import { createLatencies } from '../measure/latency.ts'
import { createPace, rest } from '../measure/pace.ts'
import { serveAgent } from '../processes/agent.ts'
import { type Counts, count } from './counts.ts'

/** The SMTP client as a process: AUTH PLAIN, one or more messages on a connection, QUIT. No TLS. */

export interface SmtpSender {
  readonly user: string
  readonly token: string
  readonly fromDomain: string
}

interface SessionPlan {
  readonly port: number
  readonly messages: number
  readonly auth: string
  readonly mailFrom: string
  readonly message: Buffer
}

/** Stands for a reply that never came. */
const noReply = 0

let senders: readonly SmtpSender[] = []
let messageBytes = 0
let next = 0

function planSession(port: number, messages: number): SessionPlan {
  const sender = senders[next++ % senders.length]
  if (sender === undefined) throw new Error('there is nobody to send as')
  const { user, token, fromDomain } = sender
  return {
    port,
    messages,
    auth: `AUTH PLAIN ${Buffer.from(`\0${user}\0${token}`).toString('base64')}\r\n`,
    mailFrom: `MAIL FROM:<hello@${fromDomain}>\r\n`,
    message: writeMail(fromDomain, messageBytes),
  }
}

const mails = new Map<string, Buffer>()

/** A mail of about so many bytes, with the final dot. */
function writeMail(fromDomain: string, bytes: number): Buffer {
  const kept = mails.get(`${fromDomain} ${bytes}`)
  if (kept !== undefined) return kept
  const header = [
    `From: Hello <hello@${fromDomain}>`,
    'To: someone@recipient.example',
    'Subject: A message of the benchmark',
    'Date: Wed, 25 Nov 2026 10:00:00 +0000',
    `Message-ID: <1@${fromDomain}>`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain',
    '',
    '',
  ].join('\r\n')
  const line = `${'x'.repeat(70)}\r\n`
  const lines = Math.max(1, Math.round((bytes - header.length) / line.length))
  const mail = Buffer.from(`${header}${line.repeat(lines)}.\r\n`, 'latin1')
  mails.set(`${fromDomain} ${bytes}`, mail)
  return mail
}

/** Runs one connection to its end; answers the code of each message's last reply, or of the reply that ended it. */
function runSession(plan: SessionPlan, onMessage: (code: number) => void): Promise<void> {
  const script: (readonly [expected: number, send: string | Buffer])[] = [
    [220, 'EHLO client.example\r\n'],
    [250, plan.auth],
  ]
  for (let i = 0; i < plan.messages; i++) {
    // The first MAIL waits for the reply to AUTH.
    script.push([i === 0 ? 235 : 250, plan.mailFrom])
    script.push([250, 'RCPT TO:<someone@recipient.example>\r\n'])
    script.push([250, 'DATA\r\n'])
    script.push([354, plan.message])
  }
  script.push([250, 'QUIT\r\n'])
  /** The step that begins with the reply to a whole message; each of the others is four steps on. */
  const firstEnd = 6

  return new Promise((resolve) => {
    const socket = connect({ port: plan.port, host: '127.0.0.1', noDelay: true })
    let received = ''
    let step = 0
    let hasFailed = false
    function fail(code: number) {
      if (hasFailed) return
      hasFailed = true
      onMessage(code)
      socket.destroy()
    }
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      const end = endOfReply(received)
      if (end === undefined) return
      const code = Number(received.slice(0, 3))
      received = received.slice(end)
      if (step === script.length) return
      const [expected, send] = script[step] as (typeof script)[number]
      if (code !== expected) return fail(code)
      if (step >= firstEnd && (step - firstEnd) % 4 === 0) onMessage(code)
      step += 1
      socket.write(send)
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (step < script.length) fail(noReply)
      resolve()
    })
  })
}

/** Where the first whole reply ends; its last line has no hyphen behind the code. */
function endOfReply(received: string): number | undefined {
  let start = 0
  for (;;) {
    const end = received.indexOf('\r\n', start)
    if (end < 0) return undefined
    if (received[start + 3] !== '-') return end + 2
    start = end + 2
  }
}

const calls = {
  prepare(load: { readonly senders: readonly SmtpSender[]; readonly messageBytes: number }) {
    ;({ senders, messageBytes } = load)
    mails.clear()
  },

  /** So many sessions at once, each followed by the next. */
  async saturate({
    port,
    forMs,
    sessions,
    messagesPerSession,
  }: {
    readonly port: number
    readonly forMs: number
    readonly sessions: number
    readonly messagesPerSession: number
  }) {
    const counts: Counts = {}
    const startedAt = performance.now()
    async function goOn() {
      do {
        await runSession(planSession(port, messagesPerSession), (code) => count(counts, code))
      } while (performance.now() - startedAt < forMs && isGood(counts))
    }
    await Promise.all(Array.from({ length: sessions }, goOn))
    return { counts, elapsedMs: performance.now() - startedAt }
  },

  /** Sessions of one message at a steady rate. Latency counts from when a session was to begin to its message's 250. */
  async openLoop({
    port,
    perSecond,
    forMs,
  }: {
    readonly port: number
    readonly perSecond: number
    readonly forMs: number
  }) {
    const counts: Counts = {}
    const latencies = createLatencies()
    const startsAt = performance.now() + 5
    const pace = createPace({ startsAt, perSecond, forMs })
    const sessions: Promise<void>[] = []
    while (!pace.isOver()) {
      const now = performance.now()
      for (let due = pace.takeDue(now); due !== undefined; due = pace.takeDue(now)) {
        const intended = due
        const onMessage = (code: number) => {
          count(counts, code)
          latencies.record((performance.now() - intended) * 1e6)
        }
        sessions.push(runSession(planSession(port, 1), onMessage))
      }
      await new Promise<void>((resolve) => rest(pace, resolve))
    }
    await Promise.all(sessions)
    return { counts, latencies: latencies.encode() }
  },
}
export type SmtpLoader = typeof calls

/** A subject that refuses is not asked further: the run has failed. */
function isGood(counts: Counts): boolean {
  return Object.keys(counts).every((code) => code === '250')
}

serveAgent(calls)
