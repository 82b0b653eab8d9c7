import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createReplyLine } from '../../smtp/reply-line.ts'

/** A socket towards a relay that takes what is written only when it is told to. */
function createHeldSocket() {
  const writes: string[] = []
  let take = () => {}
  function hold(bytes: Buffer[], done: () => void) {
    writes.push(Buffer.concat(bytes).toString('latin1'))
    take = done
  }
  const socket = new Duplex({
    read() {},
    write: (bytes, _encoding, done) => hold([bytes], done),
    writev: (parts, done) =>
      hold(
        parts.map(({ chunk }) => chunk),
        done,
      ),
  })
  const line = createReplyLine(
    Object.assign(socket, { setNoDelay() {} }) as unknown as Socket,
    60_000,
  )
  function takeOnce() {
    const taken = take
    take = () => {}
    taken()
  }
  return { writes, line, take: takeOnce, hear: (text: string) => void socket.push(text) }
}

async function withData() {
  const held = createHeldSocket()
  const ready = held.line.connection.command('DATA')
  held.take()
  held.hear('354 Go ahead\r\n')
  expect((await ready).code).toBe(354)
  return held
}

/** Undefined where there was nothing to wait for. */
function isTakenInATurn(taken: Promise<void> | undefined) {
  return Promise.race([taken?.then(() => true), nextTurn(false)])
}

test('a short message and its dot are one write', async () => {
  const { line, writes, take, hear } = await withData()
  const message = `From: a@ok.test\r\n\r\n${'x'.repeat(2_000)}\r\n`
  expect(line.connection.write(Buffer.from(message))).toBeUndefined()
  expect(line.connection.taken()).toBeUndefined()
  const finished = line.connection.finish()
  expect(writes).toEqual(['DATA\r\n', `${message}.\r\n`])
  take()
  hear('250 Taken\r\n')
  expect((await finished).code).toBe(250)
})

test('a short message that came in two parts is taken before its dot is decided on', async () => {
  const { line, writes, take } = await withData()
  await line.connection.write(Buffer.from('From: a@ok.test\r\n'))
  await nextTurn()
  await line.connection.write(Buffer.from('\r\nHello\r\n'))
  const taken = line.connection.taken()
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
  const { line, writes, take } = await withData()
  const message = `From: a@ok.test\r\n\r\n${'x'.repeat(8_000)}\r\n`
  await line.connection.write(Buffer.from(message))
  const taken = line.connection.taken()
  expect(await isTakenInATurn(taken)).toBe(false)
  expect(writes.join('')).toBe(`DATA\r\n${message}`)
  take()
  await nextTurn()
  take()
  await taken
  void line.connection.finish()
  await nextTurn()
  expect(writes.join('')).toBe(`DATA\r\n${message}.\r\n`)
})
