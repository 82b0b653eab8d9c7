import { randomUUID } from 'node:crypto'
import type { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, onTestFinished } from 'vitest'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'
import { cut, guarantee, inTime } from './property.ts'

/** Relays that answer anything. */

const token = '4c2446b6e0f911ec94870a58a9feac02'

/** What the relay does instead of the usual, the next time that `at` happens. */
interface Misdeed {
  readonly at: string
  /** Its answer; null for the usual one. */
  readonly says: string | null
  /** What it writes behind it, without being asked. */
  readonly adds: string
  /** Where the bytes are cut, each piece in a turn of its own. */
  readonly cuts: readonly number[]
  /** It hangs up after so many bytes. */
  readonly closesAfter: number | null
  readonly isSilent: boolean
}

const replyLine = fc
  .tuple(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom('250', '250', '251', '354', '220', '421', '450', '550', '554'),
      },
      { weight: 1, arbitrary: fc.integer({ min: 0, max: 1_100 }).map(String) },
    ),
    // A line that another should follow costs the time that a gate waits for it.
    fc.constantFrom(...Array(12).fill(' '), '-', '', '\t'),
    fc.oneof(
      fc.constantFrom(
        'Ok',
        '2.0.0 Ok',
        '5.7.1 No',
        '4.3.0 Later',
        '2.0.0',
        '9.9.9 x',
        'ü\x1b[2J\0',
      ),
      fc.string({ unit: 'binary', maxLength: 30 }).map((text) => text.replace(/[\r\n]/g, '')),
    ),
  )
  .map((parts) => parts.join(''))
const severalLines = fc
  .array(fc.constantFrom('250', '250', '550', '354', '450'), { minLength: 2, maxLength: 4 })
  .map((codes) =>
    codes.map((code, i) => `${code}${i < codes.length - 1 ? '-' : ' '}x`).join('\r\n'),
  )
const reply = fc.oneof(
  { weight: 8, arbitrary: replyLine },
  { weight: 3, arbitrary: severalLines },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...['', '\n', '\r', '250', 'HTTP/1.1 200 OK', '250-x\r\n'.repeat(150), '2'.repeat(10_000)],
      ...['250 a\n250 b', '250 a\r250 b', '\r\n250 Ok'],
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
)
const misdeed: fc.Arbitrary<Misdeed> = fc.record({
  at: fc.constantFrom(
    ...['greeting', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'DATA', '.', '.', '.', '.'],
    ...['during the message', 'during the message'],
  ),
  says: fc.option(reply, { freq: 3 }),
  adds: fc.oneof(
    { weight: 10, arbitrary: fc.constant('') },
    { weight: 1, arbitrary: replyLine.map((text) => `${text}\r\n`) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('250 2.0.0 Taken\r\n', '550 5.0.0 No\r\n', '354 Go\r\n'),
    },
  ),
  cuts: fc.array(fc.nat(60), { maxLength: 3 }),
  closesAfter: fc.oneof(
    { weight: 6, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.nat(40) },
  ),
  isSilent: fc.oneof(
    { weight: 25, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
})

/** Dots where they hurt, and the ends of messages that are none. */
const bodyLine = fc.constantFrom('Hello.', '.', '..', '.x', '', '250 Ok', 'QUIT', 'x'.repeat(900))
const input = fc.record({
  misdeeds: fc.array(misdeed, { minLength: 1, maxLength: 4 }),
  messages: fc.array(fc.array(bodyLine, { maxLength: 6 }), { minLength: 1, maxLength: 2 }),
})

/** What happened on one connection to the relay, in order. */
type Event = { readonly came: string } | { readonly wrote: string }

/** Makes the relay follow the script, and keeps what it wrote to whom and when. */
function misbehave(relay: ScriptedRelay, script: readonly Misdeed[]) {
  const left = [...script]
  const events = new Map<Socket, Event[]>()
  /** What the next answer comes out as. */
  let next: Misdeed | undefined

  function note(socket: Socket, event: Event) {
    events.set(socket, [...(events.get(socket) ?? []), event])
  }
  function take(at: string): Misdeed | undefined {
    const index = left.findIndex((one) => at === one.at || at.startsWith(`${one.at} `))
    return index < 0 ? undefined : left.splice(index, 1)[0]
  }
  async function write(
    socket: Socket,
    bytes: Buffer,
    { cuts, closesAfter }: Pick<Misdeed, 'cuts' | 'closesAfter'>,
  ) {
    socket.setNoDelay(true)
    const sent = closesAfter === null ? bytes : bytes.subarray(0, closesAfter)
    for (const piece of cut(sent, cuts)) {
      if (socket.destroyed) return
      note(socket, { wrote: piece.toString('latin1') })
      socket.write(piece)
      await nextTurn()
    }
    if (closesAfter !== null) socket.destroySoon()
  }

  let isArriving = false
  relay.answer = (line, socket) => {
    isArriving = false
    note(socket, { came: line === '.' ? `. ${idOf(relay.messages.at(-1))}` : line })
    next = take(line)
    if (next?.isSilent) return null
    return next?.says ?? undefined
  }
  relay.deliver = (socket, usual) => {
    const { adds = '', cuts = [], closesAfter = null } = next ?? {}
    void write(socket, Buffer.from(usual + adds), { cuts, closesAfter })
  }
  relay.duringMessage = (socket) => {
    isArriving = true
    const now = take('during the message')
    if (now === undefined || now.isSilent) return
    void write(socket, Buffer.from(`${now.says ?? ''}\r\n${now.adds}`), now)
  }
  return { events, isArriving: () => isArriving }
}

function behave(relay: ScriptedRelay) {
  relay.answer = () => undefined
  relay.deliver = (socket, bytes) => socket.write(bytes)
  relay.duringMessage = () => {}
}

const idOf = (message?: Buffer) => /^X-Id: (.*)\r$/m.exec(message?.toString('latin1') ?? '')?.[1]

/** What the relay wrote to the connection on which this message came, from its final dot or from its DATA on. */
function wroteAfter(events: Iterable<readonly Event[]>, from: 'DATA' | '.', id: string): string {
  for (const list of events) {
    const dot = list.findIndex((event) => 'came' in event && event.came === `. ${id}`)
    if (dot < 0) continue
    const isData = (event: Event) => 'came' in event && event.came === 'DATA'
    const since = from === '.' ? dot : list.slice(0, dot).findLastIndex(isData)
    return list
      .slice(since)
      .map((event) => ('wrote' in event ? event.wrote : ''))
      .join('')
  }
  throw new Error('no connection had this message')
}

let started: Promise<Awaited<ReturnType<typeof start>>> | undefined

async function start() {
  const lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test'])
  const relay = await startScriptedRelay()
  const gate = await startSmtpGateway(lookup, relay.port, { upstreamTimeoutMs: 200 })
  onTestFinished(() => relay.close())
  return { relay, gate, client: await signIn(gate.address) }
}

async function signIn(address: string): Promise<SmtpClient> {
  const client = await inTime(connectSmtp(address), 'a greeting')
  await inTime(client.say('EHLO client.test'), 'EHLO')
  client.socket().setNoDelay(true)
  expect(await inTime(client.say(plain(token)), 'AUTH')).toMatch(/^235 /)
  return client
}

/**
 * The final dot waits until the message is on its way to the relay, so that what the relay says of itself comes before it; and
 * no longer than so many turns of the loop, since a message that the relay did not want never is.
 */
const maxTurnsBeforeDot = 1_000
const turnsForAnAnswer = 40

/** One message; the replies to it as far as they come. */
async function send(
  client: SmtpClient,
  content: string,
  isArriving = () => true,
): Promise<string[]> {
  const replies: string[] = []
  for (const line of ['MAIL FROM:<a@ok.test>', 'RCPT TO:<b@c.test>', 'DATA']) {
    const heard = await inTime(client.say(line), line)
    replies.push(heard)
    if (/^[45]/.test(heard)) {
      await inTime(client.say('RSET'), 'RSET')
      return replies
    }
  }
  const stuffed = content.replace(/^\./gm, '..')
  for (const piece of cut(Buffer.from(stuffed), [40, 90, 200, 1_000])) {
    client.write(piece)
    await nextTurn()
  }
  for (let turn = 0; turn < maxTurnsBeforeDot && !isArriving(); turn++) await nextTurn()
  for (let turn = 0; turn < turnsForAnAnswer; turn++) await nextTurn()
  client.write('.\r\n')
  return [...replies, await inTime(client.reply(), 'the end of the message')]
}

guarantee(
  'whatever the relay answers, 250 means that it took this message whole; none is mixed with another, and none hangs',
  { runs: 120, input },
  async ({ misdeeds, messages }) => {
    started ??= start()
    const { relay, client } = await started
    relay.messages.length = 0
    const { events, isArriving } = misbehave(relay, misdeeds)
    const isOutOfTurn = misdeeds.some(({ at, says, adds }) => {
      const isOneReply = says === null || /^(\d{3}-[^\r\n]*\r\n)*[^\r\n]*$/.test(says)
      return adds !== '' || at === 'during the message' || !isOneReply
    })
    const sent = new Map<string, string>()
    const accepted: string[] = []
    for (const lines of messages) {
      const id = randomUUID()
      const content = ['From: a@ok.test', `X-Id: ${id}`, '', ...lines, ''].join('\r\n')
      sent.set(id, content)
      const replies = await send(client, content, isArriving)
      for (const heard of replies) {
        expect(heard).toMatch(/^(354 [ -~]+|([245])\d\d \2\.\d{1,3}\.\d{1,3}( [ -~]*)?)$/)
      }
      if (replies[3]?.startsWith('250 ')) accepted.push(id)
    }

    const arrived = relay.messages.map((bytes) => bytes.toString('latin1').replace(/^\.\./gm, '.'))
    const ids = relay.messages.map((bytes) => idOf(bytes) ?? '')
    expect(new Set(ids).size).toBe(ids.length)
    arrived.forEach((text, i) => {
      expect(text).toMatch(/^Received: /)
      expect(text.endsWith(`\r\n${sent.get(ids[i] ?? '')}`)).toBe(true)
      expect(text.match(/X-Id: /g)).toHaveLength(1)
    })
    // Only a relay that says 250 before it has the message, and goes, is believed without having it.
    const isLeaving = misdeeds.some(({ closesAfter }) => closesAfter !== null)
    for (const id of accepted) {
      if (isOutOfTurn && isLeaving && !ids.includes(id)) continue
      expect(ids).toContain(id)
      if (isOutOfTurn) expect(wroteAfter(events.values(), 'DATA', id)).toMatch(/(^|\n)250/)
      else expect(wroteAfter(events.values(), '.', id)).toMatch(/^(250-.*\r\n)*250(\r| )/)
    }

    // And it is over when it is over; a connection with an answer too many may take one message with it.
    behave(relay)
    const good = 'From: a@ok.test\r\n\r\nHello.\r\n'
    const first = (await send(client, good)).at(-1)
    if (!first?.startsWith('250 ')) {
      expect(first).toMatch(/^451 4\.4\.1 /)
      expect((await send(client, good)).at(-1)).toBe('250 2.6.0 Taken as R1')
    }
  },
)
