import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createMemoryLookup, type MemoryLookup } from '../helpers/memory-lookup.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'

/** A connection does not outlive its token, and a gate that cannot find out says so. */

const token = '4c2446b6e0f911ec94870a58a9feac02'
const ended = '421 4.7.0 The API token is no longer valid'
const undecided = '454 4.7.0 Temporary authentication failure: try again'
const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

let lookup: MemoryLookup
let relay: ScriptedRelay
let gate: Awaited<ReturnType<typeof startSmtpGateway>>
let client: SmtpClient

beforeEach(async () => {
  lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test'])
  relay = await startScriptedRelay()
  onTestFinished(() => relay.close())
  gate = await startSmtpGateway(lookup, relay.port)
  client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  await client.say(plain(token))
})

async function upTo(step: 'MAIL' | 'RCPT' | 'DATA' | 'header') {
  await client.say('MAIL FROM:<a@ok.test>')
  if (step === 'MAIL') return
  await client.say('RCPT TO:<b@c.test>')
  if (step === 'RCPT') return
  await client.say('DATA')
  if (step === 'DATA') return
  client.write('From: a@ok.test\r\n\r\nsome of it\r\n')
  while (relay.arriving() === 0) await nextTurn()
}

describe('a token that is deleted', () => {
  test('before MAIL ends the connection there', async () => {
    lookup.revoke(token)
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe(ended)
    await client.ended()
    expect(relay.connections).toBe(0)
  })

  test.each(['MAIL', 'RCPT'] as const)('after %s cannot send the message', async (step) => {
    await upTo(step)
    lookup.revoke(token)
    if (step === 'MAIL') await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
    expect(await client.reply()).toBe(ended)
    await client.ended()
    expect(relay.messages).toEqual([])
    expect(relay.commands).not.toContain('DATA')
  })

  test('while the message streams: the relay never sees the final dot', async () => {
    await upTo('header')
    lookup.revoke(token)
    client.write('the rest\r\n.\r\n')
    expect(await client.reply()).toBe(ended)
    await client.ended()
    expect(relay.messages).toEqual([])
  })

  test('between two messages of one connection', async () => {
    await upTo('header')
    client.write('.\r\n')
    expect(await client.reply()).toMatch(/^250 /)
    lookup.revoke(token)
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe(ended)
  })

  test('in the very moment of the last question: the answer to it counts', async () => {
    await upTo('header')
    const held: (() => void)[] = []
    lookup.before = () => new Promise<void>((resolve) => held.push(resolve))
    const questions = lookup.questions
    client.write('.\r\n')
    while (lookup.questions === questions) await nextTurn()
    lookup.revoke(token)
    lookup.before = () => {}
    for (const release of held) release()
    expect(await client.reply()).toBe(ended)
    expect(relay.messages).toEqual([])
  })
})

describe('the log has a line for each decision, and at the usual level one for each message', () => {
  const decisions = () =>
    gate.logged
      .filter(({ event }) => event === 'decision')
      .map(({ level, stage, allowed, reason }) => [level, stage, allowed, reason])
  const begun = [
    ['info', 'auth', true, undefined],
    ['debug', 'envelope', true, undefined],
    ['info', 'message', true, undefined],
  ]

  test('and none for the last question when its answer is still the same', async () => {
    await upTo('header')
    client.write('.\r\n')
    expect(await client.reply()).toMatch(/^250 /)
    expect(decisions()).toEqual(begun)
  })

  test('and one when it is another', async () => {
    await upTo('header')
    lookup.revoke(token)
    client.write('.\r\n')
    expect(await client.reply()).toBe(ended)
    expect(decisions()).toEqual([...begun, ['info', 'message', false, 'unknown-token']])
  })

  test('and a sender that is refused stands there too', async () => {
    await client.say('MAIL FROM:<a@other.test>')
    expect(decisions().at(-1)).toEqual(['info', 'envelope', false, 'unknown-domain'])
  })
})

test('a token that expires while the message streams is not used to end it', async () => {
  const credential = lookup.allow('short', ['ok.test'], { expiresAt: Date.now() + 400 })
  client = await connectSmtp(gate.address)
  await client.say('EHLO client.test')
  expect(await client.say(plain('short'))).toMatch(/^235 /)
  await upTo('header')
  const { expiresAt } = credential
  while (Date.now() < (expiresAt ?? 0)) await nextTurn()
  client.write('.\r\n')
  expect(await client.reply()).toBe(ended)
  expect(relay.messages).toEqual([])
})

test('a grant that is taken away is noticed before the final dot', async () => {
  await upTo('header')
  lookup.allow(token, [])
  client.write('.\r\n')
  expect(await client.reply()).toBe('550 5.7.1 Sending from domain ok.test is not allowed')
  expect(relay.messages).toEqual([])
})

describe('a store that cannot be asked is 454, never a bad credential', () => {
  test.each(['MAIL', 'header', 'dot'] as const)('at %s', async (step) => {
    if (step === 'MAIL') {
      lookup.fault = new Error('secret details')
      expect(await client.say('MAIL FROM:<a@ok.test>')).toBe(undecided)
    } else if (step === 'header') {
      await upTo('RCPT')
      lookup.fault = new Error('secret details')
      await client.say('DATA')
      client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
      expect(await client.reply()).toBe(undecided)
    } else {
      await upTo('header')
      lookup.fault = new Error('secret details')
      client.write('.\r\n')
      expect(await client.reply()).toBe(undecided)
    }
    expect(relay.messages).toEqual([])
    lookup.fault = undefined
    await upTo('header')
    client.write('.\r\n')
    expect(await client.reply()).toMatch(/^250 /)
  })
})

describe('when the gate closes', () => {
  test('a message in flight is let through; idle connections end at once', async () => {
    const idle = await connectSmtp(gate.address)
    await upTo('header')
    const closed = gate.close(10_000)
    expect(await idle.ended()).toBe('421 4.3.2 Shutting down\r\n')
    client.write('.\r\n')
    expect(await client.reply()).toMatch(/^250 /)
    expect(await client.ended()).toBe('421 4.3.2 Shutting down\r\n')
    await closed
    expect(relay.messages).toHaveLength(1)
  })

  test.each(['MAIL', 'RCPT'] as const)(
    'a transaction that is at %s goes on to its end, and the connection ends with it',
    async (step) => {
      await upTo(step)
      const closed = gate.close(10_000)
      if (step === 'MAIL') expect(await client.say('RCPT TO:<b@c.test>')).toMatch(/^250 /)
      expect(await client.say('DATA')).toMatch(/^354 /)
      client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
      expect(await client.reply()).toMatch(/^250 /)
      expect(await client.ended()).toBe('421 4.3.2 Shutting down\r\n')
      await closed
      expect(relay.messages).toHaveLength(1)
    },
  )

  test('a session that waits for an answer gets it, and then hears why it ends', async () => {
    const held = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    lookup.before = () => {
      asked.resolve()
      return held.promise
    }
    const answered = client.say('MAIL FROM:<a@elsewhere.test>')
    await asked.promise
    const closed = gate.close(10_000)
    held.resolve()
    expect(await answered).toMatch(/^550 /)
    expect(await client.ended()).toBe('421 4.3.2 Shutting down\r\n')
    await closed
  })

  test('a transaction that is given up ends its connection', async () => {
    await upTo('RCPT')
    const closed = gate.close(10_000)
    expect(await client.say('RSET')).toMatch(/^250 /)
    expect(await client.ended()).toBe('421 4.3.2 Shutting down\r\n')
    await closed
  })

  test('what does not end by itself is cut off after the deadline', async () => {
    await upTo('header')
    await gate.close(100)
    expect(await client.ended()).toBe('421 4.3.2 Shutting down\r\n')
    expect(relay.messages).toEqual([])
  })
})
