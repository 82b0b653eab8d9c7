import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createHeldRelay } from '../helpers/held-relay.ts'

async function withData() {
  const relay = createHeldRelay()
  const ready = relay.connection.command('DATA')
  relay.take()
  relay.say('354 Go ahead')
  expect((await ready).code).toBe(354)
  return relay
}

/** Undefined where there was nothing to wait for. */
function isTakenInATurn(taken: Promise<void> | undefined) {
  return Promise.race([taken?.then(() => true), nextTurn(false)])
}

test('a short message and its dot are one write', async () => {
  const { connection, writes, take, say } = await withData()
  const message = `From: a@ok.test\r\n\r\n${'x'.repeat(2_000)}\r\n`
  expect(connection.write(Buffer.from(message))).toBeUndefined()
  expect(connection.taken()).toBeUndefined()
  const finished = connection.finish()
  expect(writes).toEqual(['DATA\r\n', `${message}.\r\n`])
  take()
  say('250 Taken')
  expect((await finished).code).toBe(250)
})

test('so are the next one on the connection and its dot', async () => {
  const { connection, writes, take, say } = await withData()
  connection.write('First\r\n')
  const first = connection.finish()
  take()
  say('250 Taken')
  await first
  const ready = connection.command('DATA')
  take()
  say('354 Go ahead')
  await ready
  connection.write('Second\r\n')
  expect(connection.taken()).toBeUndefined()
  void connection.finish()
  expect(writes).toEqual(['DATA\r\n', 'First\r\n.\r\n', 'DATA\r\n', 'Second\r\n.\r\n'])
})

test('a short message that came in two parts is taken before its dot is decided on', async () => {
  const { connection, writes, take } = await withData()
  await connection.write(Buffer.from('From: a@ok.test\r\n'))
  await nextTurn()
  await connection.write(Buffer.from('\r\nHello\r\n'))
  const taken = connection.taken()
  expect(await isTakenInATurn(taken)).toBe(false)
  // The first part; then the second, and the mark behind it.
  for (const _ of ['first', 'second']) {
    take()
    await nextTurn()
  }
  await taken
  expect(writes.join('')).toBe('DATA\r\nFrom: a@ok.test\r\n\r\nHello\r\n')
})

test('what a relay may not take at once is taken before the dot is decided on', async () => {
  const { connection, writes, take } = await withData()
  const message = `From: a@ok.test\r\n\r\n${'x'.repeat(8_000)}\r\n`
  await connection.write(Buffer.from(message))
  const taken = connection.taken()
  expect(await isTakenInATurn(taken)).toBe(false)
  expect(writes.join('')).toBe(`DATA\r\n${message}`)
  take()
  await nextTurn()
  take()
  await taken
  void connection.finish()
  await nextTurn()
  expect(writes.join('')).toBe(`DATA\r\n${message}.\r\n`)
})

test('a refusal before the message is over wakes whoever waits, also after an earlier wait', async () => {
  const { connection, take, say } = await withData()
  const piece = Buffer.alloc(100_000)
  const first = connection.write(piece)
  expect(await isTakenInATurn(first)).toBe(false)
  // The piece, and the mark behind it.
  for (const _ of ['piece', 'mark']) {
    take()
    await nextTurn()
  }
  await first
  const second = connection.write(piece)
  expect(await isTakenInATurn(second)).toBe(false)
  say('552 Too large')
  await second
  expect(connection.earlyReply()?.code).toBe(552)
})
