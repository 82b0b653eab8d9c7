import { expect, test } from 'vitest'
import { createTurns } from '../../src/service/turns.ts'

const kilo = 1024
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('a turn is full after so many bytes, and the next one has room again', async () => {
  const turns = createTurns()
  expect(turns.read(500 * kilo)).toBe(true)
  expect(turns.read(64 * kilo)).toBe(false)
  await turn()
  expect(turns.read(64 * kilo)).toBe(true)
})

test('a piece counts for what looking at it costs, however small', () => {
  const turns = createTurns()
  let pieces = 1
  while (turns.read(1)) pieces++
  expect(pieces).toBeLessThan(2_000)
})

test('however many send at once, a turn is no longer, and all of them get on in their order', async () => {
  const turns = createTurns()
  const done: number[] = []
  let inTurn = 0
  let most = 0
  function send(sender: number, pieces: number) {
    inTurn += 64 * kilo
    const hasRoom = turns.read(64 * kilo)
    if (pieces === 1) done.push(sender)
    else if (hasRoom) send(sender, pieces - 1)
    else turns.wait(() => send(sender, pieces - 1))
  }
  for (let sender = 0; sender < 100; sender++) send(sender, 20)
  inTurn = 0
  while (done.length < 100) {
    await turn()
    most = Math.max(most, inTurn)
    inTurn = 0
  }
  expect(most).toBeLessThanOrEqual((512 + 4 * 64) * kilo)
  expect(done.slice(0, 3)).toEqual([0, 4, 8])
  expect(new Set(done).size).toBe(100)
})

test('those who have nothing more to read hold up nobody behind them', async () => {
  const turns = createTurns()
  let called = 0
  for (let i = 0; i < 40; i++) turns.wait(() => called++)
  for (let i = 0; i < 20; i++) await turn()
  expect(called).toBe(40)
})
