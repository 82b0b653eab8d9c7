import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createDotStuffing } from '../../smtp/dot-stuffing.ts'
import { piecesOf } from '../../smtp/message.ts'
import { SmtpRefusal } from '../../smtp/reply.ts'
import { turns } from '../../src/turns.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { heldBytes } from '../helpers/held-bytes.ts'
import { createMemoryLookup, type MemoryLookup } from '../helpers/memory-lookup.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'

/** The bytes of a message: what passes is relayed as it is, what does not never reaches the relay. */

const token = '4c2446b6e0f911ec94870a58a9feac02'
const maxMessageBytes = 200_000

let lookup: MemoryLookup
let relay: ScriptedRelay
let gate: Awaited<ReturnType<typeof startSmtpGateway>>
let client: SmtpClient

beforeEach(async () => {
  lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test', 'also.test'])
  relay = await startScriptedRelay()
  onTestFinished(() => relay.close())
  gate = await startSmtpGateway(lookup, relay.port, { maxMessageBytes })
  client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  await client.say(plain(token))
})

/** Sends a message, dot-stuffed as a client does; the final reply. */
async function send(message: string | Buffer, mailFrom = 'a@ok.test'): Promise<string> {
  expect(await client.say(`MAIL FROM:<${mailFrom}>`)).toMatch(/^250 /)
  expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^250 /)
  expect(await client.say('DATA')).toMatch(/^354 /)
  client.write(createDotStuffing()(Buffer.from(message)))
  client.write('.\r\n')
  return client.reply()
}

/** What the relay got, unstuffed, without what the gate put before it. */
function relayed(): { stamps: string; message: string } {
  const text = (relay.messages.at(-1) ?? Buffer.alloc(0)).toString().replace(/(^|\r\n)\.\./g, '$1.')
  const end = text.indexOf('\r\nPostern-Token-Id: ')
  const split = text.indexOf('\r\n', end + 2) + 2
  return { stamps: text.slice(0, split), message: text.slice(split) }
}

describe('a message that may be sent', () => {
  test.each([
    ['an ordinary one', 'From: a@ok.test\r\nTo: b@c.test\r\nSubject: Hi\r\n\r\nHello.\r\n'],
    ['one without a body', 'From: a@ok.test\r\n'],
    ['one with an empty body', 'From: a@ok.test\r\n\r\n'],
    ['one of dots', 'From: a@ok.test\r\n\r\n.\r\n..\r\n...x\r\n.x\r\nx.\r\n.\r\n'],
    ['one in UTF-8', 'From: Ä <a@ok.test>\r\nSubject: Grüße 🚪\r\n\r\nÜ\r\n'],
    ['one with folded fields', 'Subject: a\r\n b\r\n\tc\r\nFrom:\r\n a@ok.test\r\n\r\nx\r\n'],
    ['one of two own domains', 'From: a@ok.test, b@also.test\r\nSender: b@also.test\r\n\r\nx\r\n'],
    ['one with a field that begins with a dot', '.x: y\r\nFrom: a@ok.test\r\n\r\nx\r\n'],
    ['one with a long line', `From: a@ok.test\r\n\r\n${'x'.repeat(100_000)}\r\n`],
  ])('%s is relayed byte for byte', async (_name, message) => {
    expect(await send(message)).toBe('250 2.6.0 Taken as R1')
    expect(relayed().message).toBe(message)
  })

  test('may come in any pieces', async () => {
    const message = 'From: a@ok.test\r\nSubject: x\r\n\r\n.one\r\n\r\n..two\r\n'
    const bytes = Buffer.concat([createDotStuffing()(Buffer.from(message)), Buffer.from('.\r\n')])
    for (const length of [1, 2, 3, 5, 7]) {
      await client.say('MAIL FROM:<a@ok.test>')
      await client.say('RCPT TO:<b@c.test>')
      await client.say('DATA')
      for (let at = 0; at < bytes.length; at += length) {
        client.write(bytes.subarray(at, at + length))
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(await client.reply()).toBe('250 2.6.0 Taken as R1')
      expect(relayed().message).toBe(message)
    }
  })

  test('may be pipelined with its whole envelope, and followed by the next', async () => {
    const one =
      'MAIL FROM:<a@ok.test>\r\nRCPT TO:<b@c.test>\r\nDATA\r\nFrom: a@ok.test\r\n\r\nx\r\n.\r\n'
    client.write(one + one)
    const replies = []
    for (let i = 0; i < 8; i++) replies.push((await client.reply()).slice(0, 3))
    expect(replies).toEqual(['250', '250', '354', '250', '250', '250', '354', '250'])
    expect(relay.messages).toHaveLength(2)
  })

  test('gets Received and the assertion; forged copies are gone', async () => {
    const forged = 'Postern-Assertion: forged\r\nPOSTERN-Account-Id: 7\r\n 8\r\nPostern-X: y\r\n'
    const rest = 'From: a@ok.test\r\nReceived: by elsewhere\r\n\r\nx\r\n'
    await send(`${forged}${rest}`, '')
    const { stamps, message } = relayed()
    expect(message).toBe(rest)
    expect(stamps).not.toContain('forged')
    expect(stamps).toMatch(
      /^Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n by gate\.test \(Postern\) with ESMTPA\r\n id \S+; \w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\n/,
    )
    const jws = /Postern-Assertion: (\S+)\r\n/.exec(stamps)?.[1] ?? ''
    const keys = createLocalJWKSet(await gate.keyRing.jwks())
    const audience = `smtp://127.0.0.1:${relay.port}`
    const { payload } = await jwtVerify(jws, keys, { audience, issuer: 'https://gate.test' })
    expect(payload).toMatchObject({ account_id: 1, senders: ['ok.test'], protocol: 'smtp' })
    expect(stamps).toContain(`Postern-Account-Id: 1\r\nPostern-Token-Id: ${payload.sub}\r\n`)
  })

  test('a client’s name in EHLO cannot add a field', async () => {
    await client.say('EHLO <script>.test')
    expect(await send('From: a@ok.test\r\n\r\n')).toMatch(/^250 /)
    expect(relayed().stamps).toMatch(/^Received: from (unknown|client\.test) /)
  })
})

describe('a message that may not be sent', () => {
  const notAllowed = '550 5.7.1 Sending from domain evil.test is not allowed'
  test.each([
    ['from a foreign domain', 'From: a@evil.test\r\n\r\n', notAllowed],
    ['from an own and a foreign domain', 'From: a@ok.test, b@evil.test\r\n\r\n', notAllowed],
    ['with a foreign Sender', 'From: a@ok.test\r\nSender: b@evil.test\r\n\r\n', notAllowed],
    [
      'resent from a foreign domain',
      'From: a@ok.test\r\nResent-From: b@evil.test\r\n\r\n',
      notAllowed,
    ],
    ['without From', 'To: a@ok.test\r\n\r\n', /^550 5\.7\.1 .*no From/],
    ['empty', '', /^550 5\.7\.1 .*no From/],
    [
      'with two From',
      'From: a@ok.test\r\nFrom: a@ok.test\r\n\r\n',
      /^550 5\.7\.1 .*more than one From/,
    ],
    [
      'with two Sender',
      'From: a@ok.test\r\nSender: a@ok.test\r\nSender: a@ok.test\r\n\r\n',
      /^550 5\.7\.1 /,
    ],
    ['with a From that cannot be read', 'From: <a@ok.test> <b@evil.test>\r\n\r\n', /^550 5\.7\.1 /],
    [
      'with a space before the colon',
      'From : a@evil.test\r\nFrom: a@ok.test\r\n\r\n',
      /^550 5\.6\.0 /,
    ],
    ['with a bare LF', 'From: a@ok.test\r\n\r\na\nb\r\n', /^550 5\.6\.0 /],
    ['with a bare CR', 'From: a@ok.test\r\n\r\na\rb\r\n', /^550 5\.6\.0 /],
    ['with a NUL', 'From: a@ok.test\r\n\r\na\0b\r\n', /^550 5\.6\.0 /],
    ['with a bare LF in the header', 'From: a@ok.test\nFrom: b@evil.test\r\n\r\n', /^550 5\.6\.0 /],
    ['with a bare CR at the end of a field', 'From: a@ok.test\r\r\n\r\n', /^550 5\.6\.0 /],
    ['with a header without end', `From: a@ok.test\r\n${'X: y\r\n'.repeat(25_000)}`, /^250 /],
    ['over the limit', `From: a@ok.test\r\n\r\n${'x'.repeat(200_000)}\r\n`, /^552 5\.3\.4 /],
  ])('%s is answered so, once it is read', async (_name, message, reply) => {
    const said = await send(message)
    if (typeof reply === 'string') expect(said).toBe(reply)
    else expect(said).toMatch(reply)
    const accepted = said.startsWith('250')
    expect(relay.messages).toHaveLength(accepted ? 1 : 0)
    // The session goes on, with a connection to the relay that no half a message can be left in.
    expect(await send('From: a@ok.test\r\n\r\nnext\r\n')).toMatch(/^250 /)
  })

  /** https://sec-consult.com/blog/detail/smtp-smuggling-spoofing-e-mails-worldwide/ and its kin. */
  test.each([
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\r',
    '\n\n.\r\r\n',
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
  ])('an end of data that only some servers see ends nothing: %j', async (end) => {
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write(`From: a@ok.test\r\n\r\nx${end}MAIL FROM:<a@evil.test>\r\nRCPT TO:<b@c.test>\r\n`)
    client.write('DATA\r\nFrom: a@evil.test\r\n\r\nsmuggled\r\n.\r\n')
    expect(await client.reply()).toMatch(/^550 5\.6\.0 /)
    expect(relay.messages).toEqual([])
    expect(await client.say('NOOP')).toBe('250 2.0.0 OK')
  })

  test('an offending byte is never written to the relay', async () => {
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write('From: a@ok.test\r\n\r\nfirst\r\n')
    while (relay.arriving() === 0) await new Promise((resolve) => setImmediate(resolve))
    client.write('second\r')
    client.write('third\r\n.\r\n')
    expect(await client.reply()).toMatch(/^550 5\.6\.0 /)
    expect(relay.messages).toEqual([])
  })

  test('one that will not stop is cut off', async () => {
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write(`From: a@evil.test\r\n\r\n`)
    const piece = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(100))
    const flood = setInterval(() => client.write(piece), 1)
    onTestFinished(() => clearInterval(flood))
    expect(await client.reply()).toMatch(/^421 4\.7\.0 /)
    await client.ended()
    expect(relay.messages).toEqual([])
  })

  test('the null sender needs a From that may be sent', async () => {
    expect(await send('From: a@evil.test\r\n\r\n', '')).toBe(notAllowed)
    expect(await send('From: a@ok.test\r\n\r\n', '')).toMatch(/^250 /)
  })
})

test('a relay that stops reading holds up the client, and nothing piles up in between', async () => {
  const roomy = await startSmtpGateway(lookup, relay.port)
  const sender = await connectSmtp(roomy.address)
  await sender.say('EHLO client.test')
  await sender.say(plain(token))
  await sender.say('MAIL FROM:<a@ok.test>')
  await sender.say('RCPT TO:<b@c.test>')
  let relaySocket: Socket | undefined
  relay.answer = (line, socket) => {
    if (line === 'DATA') relaySocket = socket
    return undefined
  }
  await sender.say('DATA')
  sender.write('From: a@ok.test\r\n\r\nfirst line\r\n')
  while (relay.arriving() === 0) await new Promise((resolve) => setImmediate(resolve))
  relaySocket?.pause()

  const piece = Buffer.from(`${'QUJD'.repeat(19)}\r\n`.repeat(800))
  const isHeldUp = async () => {
    if (sender.socket().write(piece)) return false
    const drained = new Promise((resolve) => sender.socket().once('drain', () => resolve(false)))
    return Promise.race([drained, delay(500, true)])
  }
  let sent = piece.length
  const before = heldBytes()
  while (sent < 29_000_000 && !(await isHeldUp())) sent += piece.length
  // The kernel's buffers on two loopback connections take some megabytes.
  expect(sent).toBeLessThan(20_000_000)
  // V8 frees buffers in the background: what is really held stays, as long as the relay reads nothing.
  await expect.poll(() => heldBytes() - before, { timeout: 10_000 }).toBeLessThan(2_000_000)

  relaySocket?.resume()
  sender.write('.\r\n')
  expect(await sender.reply()).toMatch(/^250 /)
  expect(relay.messages[0]?.length).toBeGreaterThan(sent)
})

test('dots are stuffed the same wherever the bytes are cut', () => {
  const text = fc.array(fc.constantFrom('.', '..', 'a', '\r\n'), { maxLength: 20 })
  fc.assert(
    fc.property(text, fc.integer({ min: 1, max: 9 }), (parts, length) => {
      const message = Buffer.from(parts.join(''))
      const stuff = createDotStuffing()
      const pieces: Buffer[] = []
      for (let at = 0; at < message.length; at += length) {
        pieces.push(stuff(message.subarray(at, at + length)))
      }
      const expected = message.toString().replace(/(^|\n)\./g, '$1..')
      expect(Buffer.concat(pieces).toString()).toBe(expected)
    }),
    { numRuns: 2_000 },
  )
})

test('a message that does not come is given up after a while, and nothing of it is handed over', async () => {
  expect(await client.say('MAIL FROM:<a@ok.test>')).toMatch(/^250 /)
  expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^250 /)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  expect(await client.say('DATA')).toMatch(/^354 /)
  client.write('From: a@ok.test\r\n\r\nHalf of')
  await vi.waitFor(() => expect(relay.arriving()).toBeGreaterThan(0))
  vi.advanceTimersByTime(181_000)
  expect(await client.reply()).toBe('421 4.4.2 The message did not arrive in time')
  expect(relay.messages).toEqual([])
})

test('a session goes on after a refused message whose rest comes too late', async () => {
  await client.say('MAIL FROM:<a@ok.test>')
  await client.say('RCPT TO:<b@c.test>')
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  await client.say('DATA')
  const { questions } = lookup
  client.write('From: a@elsewhere.test\r\n\r\nHalf of')
  while (lookup.questions === questions) await nextTurn()
  for (let turn = 0; turn < 20; turn++) await nextTurn()
  vi.advanceTimersByTime(181_000)
  expect(await client.reply()).toMatch(/^550 5\.7\.1 /)
  client.write(' it.\r\n.\r\n')
  expect(await client.say('NOOP')).toMatch(/^250 /)
})

test('everybody else has a turn while a message arrives as fast as it can be read', async () => {
  const stream = new PassThrough({ highWaterMark: 20 * 65_536 })
  for (let i = 0; i < 40; i++) stream.write(Buffer.alloc(65_536))
  stream.end()
  const pieces = piecesOf(stream, createFakeClock())
  let inTurn = 0
  let most = 0
  let total = 0
  function turn() {
    inTurn = 0
    if (!stream.readableEnded) setImmediate(turn)
  }
  turn()
  for (let piece = await pieces.next(); piece !== undefined; piece = await pieces.next()) {
    total += piece.length
    inTurn += piece.length
    most = Math.max(most, inTurn)
  }
  expect(total).toBe(40 * 65_536)
  expect(most).toBeLessThan(2 * 524_288)
})

test('what nobody has asked for yet is read up to a bound, and no further', async () => {
  const stream = new PassThrough({ highWaterMark: 1024 * 1024 })
  const pieces = piecesOf(stream, createFakeClock())
  for (let i = 0; i < 100; i++) {
    stream.write(Buffer.alloc(1_000))
    await nextTurn()
  }
  stream.end()
  await nextTurn()
  // 16 KiB, to the end of a piece.
  expect(100_000 - stream.readableLength).toBe(17_000)
  let total = 0
  for (let piece = await pieces.next(); piece !== undefined; piece = await pieces.next()) {
    total += piece.length
  }
  expect(total).toBe(100_000)
})

test('a small message is there with its end before anybody asks', async () => {
  const stream = new PassThrough()
  const pieces = piecesOf(stream, createFakeClock())
  stream.end('x')
  await nextTurn()
  expect(pieces.next()).toEqual(Buffer.from('x'))
  expect(pieces.next()).toBeUndefined()
})

test('a message that is all there waits for nobody', async () => {
  while (turns.spend(65_536)) {}
  let isNextTurn = false
  turns.wait(() => {
    isNextTurn = true
  })
  const stream = new PassThrough()
  const pieces = piecesOf(stream, createFakeClock())
  const first = pieces.next()
  process.nextTick(() => stream.end('x'))
  expect(await first).toEqual(Buffer.from('x'))
  expect(await pieces.next()).toBeUndefined()
  expect(isNextTurn).toBe(false)
})

test.each([
  ['leaves', undefined],
  ['breaks', new Error('reset')],
])('a client that %s while its message waits for a turn is gone at once', async (_how, error) => {
  const stream = new PassThrough()
  stream.on('error', () => {})
  const pieces = piecesOf(stream, createFakeClock())
  while (turns.spend(65_536)) {}
  stream.write('x')
  await pieces.next()
  const more = pieces.next()
  stream.destroy(error)
  await expect(more).rejects.toThrow(error?.message ?? 'the client left')
})

test('a client whose time is over when a piece arrives is given up at once', async () => {
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  onTestFinished(() => void process.off('warning', onWarning))
  const clock = createFakeClock()
  const stream = new PassThrough()
  const pieces = piecesOf(stream, clock)
  const late = pieces.next()
  clock.advance(200_000)
  stream.write('x')
  await late
  await expect(pieces.next()).rejects.toThrow(SmtpRefusal)
  // Node tells the operator of a timer that should have fired before it was set.
  expect(warnings).toEqual([])
})

test('whoever does not authenticate in five minutes is shown out, however busy', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const connecting = connectSmtp(gate.address)
  await vi.waitFor(async () => {
    vi.advanceTimersByTime(100)
    await Promise.race([connecting, Promise.reject(new Error('not greeted'))])
  })
  const idler = await connecting
  await idler.say('EHLO idler.test')
  vi.advanceTimersByTime(300_000)
  expect(await idler.reply()).toBe('421 4.4.2 Timeout: no authentication')
  await idler.ended()
  // A session that did is not touched by that.
  expect(await client.say('NOOP')).toMatch(/^250 /)
})
