import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createHeldRelay } from '../helpers/held-relay.ts'

const always = () => true

async function withData() {
  const relay = createHeldRelay()
  const ready = relay.connection.command('DATA')
  await nextTurn()
  relay.take()
  relay.say('354 Go ahead')
  expect((await ready).code).toBe(354)
  return relay
}

/** Undefined where there was nothing to wait for. */
function isTakenInATurn(taken: Promise<void> | undefined) {
  return Promise.race([taken?.then(() => true), nextTurn(false)])
}

test('a reply that comes before its command has gone out ends the connection', async () => {
  const { connection, writes, say } = createHeldRelay()
  const ready = connection.command('DATA')
  say('354 Go ahead')
  await expect(ready).rejects.toThrow('the upstream spoke without being asked: 354')
  await nextTurn()
  expect(writes).toEqual([])
})

test('a short message and its dot are one write', async () => {
  const { connection, writes, take, say } = await withData()
  const message = `From: a@ok.test\r\n\r\n${'x'.repeat(2_000)}\r\n`
  expect(connection.write(Buffer.from(message))).toBeUndefined()
  expect(connection.taken()).toBeUndefined()
  const finished = connection.finish(always)
  await nextTurn()
  expect(writes).toEqual(['DATA\r\n', `${message}.\r\n`])
  take()
  say('250 Taken')
  expect((await finished)?.code).toBe(250)
})

test('so are the next one on the connection and its dot', async () => {
  const { connection, writes, take, say } = await withData()
  const text = 'x'.repeat(3_000)
  connection.write(`${text}1\r\n`)
  const first = connection.finish(always)
  await nextTurn()
  take()
  say('250 Taken')
  await first
  const ready = connection.command('DATA')
  await nextTurn()
  take()
  say('354 Go ahead')
  await ready
  connection.write(`${text}2\r\n`)
  expect(connection.taken()).toBeUndefined()
  void connection.finish(always)
  await nextTurn()
  expect(writes).toEqual(['DATA\r\n', `${text}1\r\n.\r\n`, 'DATA\r\n', `${text}2\r\n.\r\n`])
})

test('a dot that may go out no more when the turn is over does not, and may later', async () => {
  const { connection, writes, take, say } = await withData()
  let may = true
  connection.write('Hello\r\n')
  const superseded = connection.finish(() => may)
  may = false
  await nextTurn()
  expect(await superseded).toBeUndefined()
  expect(writes).toEqual(['DATA\r\n', 'Hello\r\n'])
  take()
  expect(connection.taken()).toBeUndefined()
  const finished = connection.finish(always)
  await nextTurn()
  expect(writes).toEqual(['DATA\r\n', 'Hello\r\n', '.\r\n'])
  take()
  say('250 Taken')
  expect((await finished)?.code).toBe(250)
})

test('a dot that would have to wait behind what the relay does not take does not go out', async () => {
  const { connection, writes, take } = await withData()
  connection.write('Hello\r\n')
  await nextTurn()
  const finished = connection.finish(always)
  // The text, and the mark behind it.
  for (const _ of ['text', 'mark']) {
    take()
    await nextTurn()
  }
  expect(await finished).toBeUndefined()
  expect(writes.join('')).toBe('DATA\r\nHello\r\n')
})

test('a refusal that comes before the turn is over is the answer, and nothing of the message follows it', async () => {
  const { connection, writes, say } = await withData()
  connection.write('Hello\r\n')
  const refused = connection.finish(always)
  say('552 Too large')
  expect((await refused)?.code).toBe(552)
  await nextTurn()
  expect(writes).toEqual(['DATA\r\n'])
})

test('a fault in the last question is that of its message alone', async () => {
  const { connection, writes } = await withData()
  connection.write('Hello\r\n')
  const finished = connection.finish(() => {
    throw new Error('no idea')
  })
  await expect(finished).rejects.toThrow('no idea')
  expect(writes.join('')).not.toContain('.\r\n')
})

test('a connection that is given up before the turn is over gets no dot', async () => {
  const { connection, writes } = await withData()
  connection.write('Hello\r\n')
  const finished = connection.finish(always)
  connection.destroy()
  await expect(finished).rejects.toThrow('given up')
  expect(writes).toEqual(['DATA\r\n'])
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
  void connection.finish(always)
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
