import { expect, test } from 'vitest'
import { createTurns } from '../src/turns.ts'

const kilo = 1024
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('a turn is full after half a megabyte, and the next one has room again', async () => {
  const turns = createTurns()
  expect(turns.spend(500 * kilo)).toBe(true)
  expect(turns.spend(64 * kilo)).toBe(false)
  await turn()
  expect(turns.spend(64 * kilo)).toBe(true)
})

test('a piece counts for what looking at it costs, however small', () => {
  const turns = createTurns()
  let pieces = 1
  while (turns.spend(1)) pieces++
  expect(pieces).toBeLessThan(2_000)
})

test('those who wait share a turn, however many they are, and all come to their end', async () => {
  const turns = createTurns()
  const done = new Set<number>()
  let inTurn = 0
  let most = 0
  function send(sender: number, pieces: number) {
    inTurn += 64 * kilo
    const hasRoom = turns.spend(64 * kilo)
    if (pieces === 1) done.add(sender)
    else if (hasRoom) send(sender, pieces - 1)
    else turns.wait(() => send(sender, pieces - 1))
  }
  for (let sender = 0; sender < 100; sender++) send(sender, 20)
  while (done.size < 100) {
    inTurn = 0
    await turn()
    most = Math.max(most, inTurn)
  }
  expect(most).toBeLessThanOrEqual((512 + 64) * kilo)
})

test('who waits goes on in order, and nobody is held up by those with nothing more to read', async () => {
  const turns = createTurns()
  const called: number[] = []
  for (let i = 0; i < 40; i++) turns.wait(() => called.push(i))
  for (let i = 0; i < 40; i++) await turn()
  expect(called).toEqual([...Array(40).keys()])
})

test('what waits for the end of a turn is called when it is over, all of it', async () => {
  const turns = createTurns()
  const called: number[] = []
  for (let i = 0; i < 3; i++) turns.atEnd(() => called.push(i))
  turns.atEnd(() => turns.atEnd(() => called.push(3)))
  await Promise.resolve()
  expect(called).toEqual([])
  await turn()
  expect(called).toEqual([0, 1, 2])
  await turn()
  expect(called).toEqual([0, 1, 2, 3])
})

test('a fault at the end of a turn keeps nothing else from its end', async () => {
  const turns = createTurns()
  const called: string[] = []
  const faults: unknown[] = []
  process.once('uncaughtException', (fault) => faults.push(fault))
  const fault = new Error('in one of them')
  turns.atEnd(() => {
    throw fault
  })
  turns.atEnd(() => called.push('the next'))
  await turn()
  expect([called, faults]).toEqual([['the next'], [fault]])
})
