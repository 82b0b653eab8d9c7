import { expect, onTestFinished, test, vi } from 'vitest'
import { createPieces } from '../../middleware/pieces.ts'

const large = 1024 * 1024

test('a large piece that was given back is lent again, whole', () => {
  const pieces = createPieces()
  const first = pieces.take(large - 5)
  expect(first.length).toBe(large)
  pieces.giveBack([first.subarray(0, 10)])
  const second = pieces.take(large)
  expect(second.buffer).toBe(first.buffer)
  expect(second.length).toBe(large)
})

test('no piece is lent to two, though it was given back twice', () => {
  const pieces = createPieces()
  const first = pieces.take(large)
  pieces.giveBack([first, first])
  pieces.giveBack([first])
  expect(pieces.take(large).buffer).toBe(first.buffer)
  expect(pieces.take(large).buffer).not.toBe(first.buffer)
})

test('a piece that is lent again can be given back again', () => {
  const pieces = createPieces()
  const first = pieces.take(large)
  pieces.giveBack([first])
  pieces.giveBack([pieces.take(large)])
  expect(pieces.take(large).buffer).toBe(first.buffer)
})

test('what is of another size, small, or nobody has taken here is not lent', () => {
  const pieces = createPieces()
  const small = pieces.take(1000)
  const half = pieces.take(large / 2)
  const others = [small, half, Buffer.allocUnsafeSlow(large)]
  expect(small.length).toBe(1000)
  pieces.giveBack(others)
  const taken = [pieces.take(large), pieces.take(1000)]
  expect(taken.filter(({ buffer }) => others.some((other) => other.buffer === buffer))).toEqual([])
  expect(pieces.take(large / 2).buffer).toBe(half.buffer)
})

test('what is not needed goes, and what is needed stays', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const pieces = createPieces()
  const [first, second] = [pieces.take(large), pieces.take(large)]
  pieces.giveBack([first, second])
  for (let sweeps = 0; sweeps < 3; sweeps++) {
    vi.advanceTimersByTime(7_500)
    // The youngest: the other one was not needed.
    const needed = pieces.take(large)
    expect(needed.buffer).toBe(second.buffer)
    pieces.giveBack([needed])
  }
  const [still, anew] = [pieces.take(large), pieces.take(large)]
  expect(still.buffer).toBe(second.buffer)
  expect(anew.buffer).not.toBe(first.buffer)
  pieces.giveBack([still, anew])
  vi.advanceTimersByTime(3 * 7_500)
  expect(vi.getTimerCount()).toBe(0)
  expect([still.buffer, anew.buffer]).not.toContain(pieces.take(large).buffer)
})
