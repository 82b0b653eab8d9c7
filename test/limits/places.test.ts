import { expect, test } from 'vitest'
import { createBodyMemory } from '../../src/limits/body-memory.ts'
import { createSeats } from '../../src/limits/seats.ts'

test('a seat is free again when it is left, once', () => {
  let turnedAway = 0
  const seats = createSeats(2, { onFull: () => turnedAway++ })
  const leave = seats.take('a')
  expect(seats.take('a')).toBeDefined()
  expect(seats.take('a')).toBeUndefined()
  expect(seats.take('b')).toBeDefined()
  leave?.()
  leave?.()
  expect(seats.take('a')).toBeDefined()
  expect(seats.take('a')).toBeUndefined()
  expect(turnedAway).toBe(2)
})

test('bodies get memory while there is some, and half of it at most for one account', () => {
  let full = 0
  const memory = createBodyMemory(100, 10, () => full++)
  const [own, second, other] = [memory.open(1), memory.open(1), memory.open(2)]
  expect(own.take(30)).toBe(true)
  expect(second.take(21)).toBe(false)
  expect(second.take(20)).toBe(true)
  expect(other.take(50)).toBe(true)
  expect(memory.open(3).take(1)).toBe(false)
  own.release()
  own.release()
  expect(memory.open(3).take(31)).toBe(false)
  expect(memory.open(3).take(30)).toBe(true)
  expect(full).toBe(3)
})

test('a request that is gone takes no memory any more, which nobody would give back', () => {
  const memory = createBodyMemory(100, 10)
  const gone = memory.open(1)
  expect(gone.take(10)).toBe(true)
  gone.release()
  expect(gone.take(10)).toBe(false)
  expect(memory.held()).toBe(0)
})

test('one largest body always fits into the share of an account', () => {
  expect(createBodyMemory(100, 80).open(1).take(80)).toBe(true)
})
