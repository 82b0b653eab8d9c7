import type { Socket } from 'node:net'
import { Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createOutbox } from '../../smtp/outbox.ts'
import { turns } from '../../src/turns.ts'

/** A socket that keeps what the operating system would get by each write. */
function watched() {
  const writes: string[] = []
  const socket = new Writable({
    write(bytes, _encoding, done) {
      writes.push(bytes.toString('latin1'))
      done()
    },
  })
  return { socket: socket as Writable as Socket, writes }
}

test('what comes in one turn is one write when it is over, with what the end of others adds', async () => {
  const { socket, writes } = watched()
  const outbox = createOutbox(() => socket, 'latin1')
  turns.atEnd(() => outbox.write('c'))
  outbox.write('a')
  outbox.write('b')
  await Promise.resolve()
  expect([writes, outbox.isEmpty()]).toEqual([[], false])
  await nextTurn()
  expect([writes, outbox.isEmpty()]).toEqual([['abc'], true])
  outbox.write('d')
  await nextTurn()
  expect(writes).toEqual(['abc', 'd'])
})

test('what is flushed goes out at once, and is not written again', async () => {
  const { socket, writes } = watched()
  const outbox = createOutbox(() => socket, 'latin1')
  outbox.write('a')
  outbox.flush()
  expect(writes).toEqual(['a'])
  outbox.write('b')
  await nextTurn()
  await nextTurn()
  expect(writes).toEqual(['a', 'b'])
})

test('a character is a byte, or UTF-8, as the outbox is made for', () => {
  const { socket, writes } = watched()
  for (const encoding of ['latin1', 'utf8'] as const) {
    const outbox = createOutbox(() => socket, encoding)
    outbox.write('\u00fc')
    outbox.flush()
  }
  expect(writes).toEqual(['\u00fc', '\u00c3\u00bc'])
})

test('nothing goes to a socket that is ended or destroyed, and nobody hears of an error', async () => {
  for (const leave of ['end', 'destroy'] as const) {
    const { socket, writes } = watched()
    const errors: unknown[] = []
    socket.on('error', (error) => errors.push(error))
    const outbox = createOutbox(() => socket, 'latin1')
    outbox.write('a')
    socket[leave]()
    await nextTurn()
    expect([writes, errors, outbox.isEmpty()]).toEqual([[], [], true])
  }
})
