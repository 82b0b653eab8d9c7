import { expect } from 'vitest'
import { type Case, endsItself, expand, type Names } from './case-file.ts'
import { type Dialogue, openDialogue, readReply } from './dialogue.ts'
import { type ConformanceGate, ownedDomains } from './gate.ts'
import { envelopeDomains, messageSenders } from './readings.ts'

/** Takes one case over SMTP through the gate, and judges it and what holds for every case. */
export async function runSmtpCase(one: Case, gate: ConformanceGate, names: Names) {
  gate.forget()
  await runDialogue(one, gate, names)
  await sendCanary(gate, names)
  judgeUpstream(one, gate)
}

type Lines = readonly (readonly [string, number])[]

const hello: Lines = [
  ['EHLO client.test', 250],
  ['AUTH PLAIN $(base64 $(NUL)api$(NUL)$(token))', 235],
]
const envelope: Lines = [
  ['MAIL FROM:<a@ok.test>', 250],
  ['RCPT TO:<b@c.test>', 250],
]
/** Where a dialogue may begin: what has been said before, each with its answer. */
const beginnings: Readonly<Record<string, Lines>> = {
  connected: [],
  greeted: hello.slice(0, 1),
  authenticated: hello,
  recipients: [...hello, ...envelope],
  data: [...hello, ...envelope, ['DATA', 354]],
}

async function begin(gate: ConformanceGate, start: string, names: Names): Promise<Dialogue> {
  if (start === 'too soon') return openDialogue(gate.smtp, readReply)
  const beginning = beginnings[start]
  if (beginning === undefined) throw new Error(`nothing begins with ${start}`)
  const dialogue = gate.sessions.take()
  expect((await dialogue.answer('the greeting')).code).toBe(220)
  await converse(dialogue, beginning, names)
  return dialogue
}

/** Says all of it at once (RFC 2920), and looks at each answer. */
async function converse(dialogue: Dialogue, lines: Lines, names: Names) {
  const said = lines.map(([line]) => `${line}$(CRLF)`).join('')
  await dialogue.send(expand(said, names))
  for (const [line, code] of lines) expect((await dialogue.answer(line)).code).toBe(code)
}

async function runDialogue({ form, start, steps }: Case, gate: ConformanceGate, names: Names) {
  const isMessage = form === 'message'
  const dialogue = await begin(gate, isMessage ? 'data' : start, names)
  try {
    for (const step of steps) {
      await dialogue.take(step)
      if (isMessage && step.kind === 'send') await dialogue.send('.\r\n')
    }
    if (!endsItself(steps)) {
      // Nothing was said that nobody asked for, and nothing of the message is taken for a command.
      await dialogue.send('QUIT\r\n')
      expect((await dialogue.answer('221 to QUIT')).code).toBe(221)
      await dialogue.closed()
    }
    for (const { code, text } of dialogue.answers) judgeReply(code, text)
  } finally {
    dialogue.destroy()
  }
}

/** RFC 2034 §4: each refusal has an enhanced code of its own class. The gate and its relay are well: nothing is their fault. */
function judgeReply(code: number, text: string) {
  expect([451, 454]).not.toContain(code)
  expect(text).not.toMatch(/[^\x20-\x7e\r\n]/)
  if (code < 400 || / (Bad hostname syntax|Error: [Ss]yntax: (HELO|EHLO))/.test(text)) return
  for (const line of text.trimEnd().split('\r\n')) {
    expect(line).toMatch(/^([45])\d\d[ -]\1\.\d{1,3}\.\d{1,3} /)
  }
}

const canary = 'From: a@ok.test\r\nSubject: the canary\r\n\r\nx\r\n'

/** Another client's message, right behind. */
async function sendCanary(gate: ConformanceGate, names: Names) {
  const dialogue = await canarySession(gate, names)
  await converse(dialogue, [...envelope, ['DATA', 354], [`${canary}.`, 250]], names)
  expect(withoutTrace(gate.relay.messages.pop() ?? Buffer.of())).toBe(canary)
}

/** One for all cases: a session that they must not disturb. */
const canarySessions = new WeakMap<ConformanceGate, Promise<Dialogue>>()

function canarySession(gate: ConformanceGate, names: Names): Promise<Dialogue> {
  const known = canarySessions.get(gate) ?? openCanarySession(gate, names)
  canarySessions.set(gate, known)
  return known
}

async function openCanarySession(gate: ConformanceGate, names: Names): Promise<Dialogue> {
  const dialogue = await begin(gate, 'greeted', names)
  await converse(dialogue, [['STARTTLS', 220]], names)
  await dialogue.take({ kind: 'act', act: 'tls' })
  await converse(dialogue, hello, names)
  return dialogue
}

function judgeUpstream({ form, steps, upstream, heard }: Case, { api, relay }: ConformanceGate) {
  expect(api.requests).toEqual([])
  for (const command of relay.commands) {
    expect(command).not.toMatch(/\p{Cc}/u)
    for (const domain of envelopeDomains(command)) expect(ownedDomains).toContain(domain)
  }
  // Without those of the canary.
  const told = relay.commands.filter((line) => /^(MAIL|RCPT) /.test(line)).slice(0, -2)
  if (heard !== undefined) expect(told).toEqual(heard)
  const senders = relay.messages.map(messageSenders)
  for (const domain of senders.flat()) expect(ownedDomains).toContain(domain)
  expect(senders).toEqual(upstream.map((domains) => [...domains].sort()))
  for (const message of relay.messages) {
    // However the next server ends lines and messages, it reads one message here.
    expect(message.toString('latin1')).not.toMatch(/\r(?!\n)|(?<!\r)\n|\0|\r\n\.\r\n/)
  }
  if (form !== 'message' || relay.messages.length === 0) return
  const [sent] = steps.flatMap((step) => (step.kind === 'send' ? [step.bytes] : []))
  const [message] = relay.messages
  expect(withoutTrace(message ?? Buffer.of())).toBe(
    withoutForgeries(sent?.toString('latin1') ?? ''),
  )
}

/** What the gate relayed, without the four fields that it put on top. */
function withoutTrace(message: Buffer): string {
  const text = message.toString('latin1')
  const trace =
    /^Received: from [^\r]+\r\n by gate\.test \(Postern\)[^\r]+\r\n id [^\r]+\r\nPostern-Assertion: [^\r]+(?:\r\n [^\r]+)*\r\nPostern-Account-Id: 1\r\nPostern-Token-Id: \d+\r\n/
  expect(text).toMatch(trace)
  return text.replace(trace, '')
}

/** What the client sent, less what only the gate may say. */
function withoutForgeries(message: string): string {
  const headerEnd =
    message.indexOf('\r\n\r\n') < 0 ? message.length : message.indexOf('\r\n\r\n') + 2
  const header = message.slice(0, headerEnd)
  return `${header.replace(/^postern-[^:]*:.*\r\n(?:[ \t].*\r\n)*/gim, '')}${message.slice(headerEnd)}`
}
