import { Writable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createOutputBuffer } from '../../smtp/output-buffer.ts'
import { turns } from '../../src/turns.ts'

/** Keeps what the operating system would get by each write. */
function watched() {
  const writes: string[] = []
  const socket = new Writable({
    write(bytes, _encoding, done) {
      writes.push(bytes.toString('latin1'))
      done()
    },
  })
  return { socket, writes }
}

test('what comes in one turn is one write when it is over', async () => {
  const { socket, writes } = watched()
  const buffer = createOutputBuffer(() => socket, 'latin1')
  buffer.write('a')
  buffer.write('b')
  await Promise.resolve()
  expect([writes, buffer.isEmpty()]).toEqual([[], false])
  await nextTurn()
  expect([writes, buffer.isEmpty()]).toEqual([['ab'], true])
  buffer.write('c')
  await nextTurn()
  expect(writes).toEqual(['ab', 'c'])
})

test('what comes behind it goes out with the next turn', async () => {
  const { socket, writes } = watched()
  const buffer = createOutputBuffer(() => socket, 'latin1')
  buffer.write('a')
  turns.atEnd(() => buffer.write('b'))
  await nextTurn()
  expect(writes).toEqual(['a'])
  await nextTurn()
  expect(writes).toEqual(['a', 'b'])
})

test('what is flushed goes out at once, and is not written again', async () => {
  const { socket, writes } = watched()
  const buffer = createOutputBuffer(() => socket, 'latin1')
  buffer.write('a')
  buffer.flush()
  expect(writes).toEqual(['a'])
  buffer.write('b')
  await nextTurn()
  await nextTurn()
  expect(writes).toEqual(['a', 'b'])
})

test('text is written in the encoding that the buffer was made with', () => {
  const { socket, writes } = watched()
  for (const encoding of ['latin1', 'utf8'] as const) {
    const buffer = createOutputBuffer(() => socket, encoding)
    buffer.write('\u00fc')
    buffer.flush()
  }
  expect(writes).toEqual(['\u00fc', '\u00c3\u00bc'])
})

test('nothing goes to a socket that is ended or destroyed, and nobody hears of an error', async () => {
  for (const leave of ['end', 'destroy'] as const) {
    const { socket, writes } = watched()
    const errors: unknown[] = []
    socket.on('error', (error) => errors.push(error))
    const buffer = createOutputBuffer(() => socket, 'latin1')
    buffer.write('a')
    socket[leave]()
    await nextTurn()
    expect([writes, errors, buffer.isEmpty()]).toEqual([[], [], true])
  }
})
