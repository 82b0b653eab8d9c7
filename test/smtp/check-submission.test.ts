import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { SMTPServer } from 'smtp-server'
import { expect, onTestFinished, test } from 'vitest'
import { checkSubmission } from '../../smtp/index.ts'
import { systemClock } from '../../src/clock.ts'
import { digestToken } from '../../src/core/token.ts'
import { createAuthenticator } from '../../src/service/authenticate.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** `postern/smtp`: the check in a smtp-server of somebody else. */

const token = '4c2446b6e0f911ec94870a58a9feac02'

async function authenticated(
  deliver: Parameters<typeof checkSubmission>[1],
  maxMessageBytes = 1_000_000,
) {
  const lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test'])
  const authenticator = createAuthenticator({ lookup, clock: systemClock, tokenPrefix: 'pst_' })
  const options = checkSubmission({ authenticator, maxMessageBytes }, deliver)
  const ended = Promise.withResolvers<void>()
  function onData(...[stream, session, callback]: Parameters<NonNullable<typeof options.onData>>) {
    stream.on('end', ended.resolve)
    options.onData?.(stream, session, callback)
  }
  const server = new SMTPServer({
    ...options,
    onData,
    disabledCommands: ['STARTTLS'],
    logger: false,
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => new Promise<void>((resolve) => server.close(resolve)))
  const client = await connectSmtp(`127.0.0.1:${(server.server.address() as AddressInfo).port}`)
  await client.say('EHLO client.test')
  expect(await client.say(plain(token))).toMatch(/^235 /)
  return {
    /** The first message has been read to its end, whoever has looked at it. */
    ended: ended.promise,
    async send(bodyBytes: number, headerIsThere?: Promise<void>) {
      await client.say('MAIL FROM:<a@ok.test>')
      await client.say('RCPT TO:<b@c.test>')
      await client.say('DATA')
      client.write('From: a@ok.test\r\n\r\nHello,\r\n')
      await headerIsThere
      client.write(`${'x'.repeat(bodyBytes)}\r\n.\r\n`)
      return client.reply()
    },
  }
}

test('a delivery that does not want the bytes is answered all the same', async () => {
  const { send } = await authenticated(async () => 'Dropped')
  expect(await send(10)).toBe('250 Dropped')
  expect(await send(500_000)).toBe('250 Dropped')
})

test('and never for a message over the limit', async () => {
  const { send } = await authenticated(async () => 'Dropped', 100_000)
  expect(await send(5_000_000)).toMatch(/^421 4\.7\.0 The message is larger/)
})

test('nor for one that lay ready to its end while it was delivered', async () => {
  const delivering = Promise.withResolvers<void>()
  async function deliver() {
    delivering.resolve()
    await ended
    return 'Dropped'
  }
  const { send, ended } = await authenticated(deliver, 5_000)
  expect(await send(15_000, delivering.promise)).toMatch(/^421 4\.7\.0 The message is larger/)
})

test('whoever prints the session that it is given, or a copy, does not see the digest of the token', async () => {
  let printed = ''
  const { send } = await authenticated(async ({ session }) => {
    printed = inspect([session, { ...session }], { depth: null })
    return 'Printed'
  })
  expect(await send(10)).toBe('250 Printed')
  expect(printed).toContain('client.test')
  expect(printed).not.toContain(digestToken(token))
})
