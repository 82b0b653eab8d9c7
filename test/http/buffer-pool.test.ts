import { expect, onTestFinished, test, vi } from 'vitest'
import { createBufferPool } from '../../middleware/buffer-pool.ts'

const large = 1024 * 1024

test('a large buffer that was released is given again, whole', () => {
  const pool = createBufferPool()
  const first = pool.acquire(2 * large - 1)
  expect(first.length).toBe(large)
  pool.release([first.subarray(0, 10)])
  const second = pool.acquire(large)
  expect(second.buffer).toBe(first.buffer)
  expect(second.length).toBe(large)
})

test('no buffer is given to two, though it was released twice', () => {
  const pool = createBufferPool()
  const first = pool.acquire(large)
  pool.release([first, first])
  pool.release([first])
  expect(pool.acquire(large).buffer).toBe(first.buffer)
  expect(pool.acquire(large).buffer).not.toBe(first.buffer)
})

test('a buffer that was given again can be released again', () => {
  const pool = createBufferPool()
  const first = pool.acquire(large)
  pool.release([first])
  pool.release([pool.acquire(large)])
  expect(pool.acquire(large).buffer).toBe(first.buffer)
})

test('what is too small, or was never acquired here, is not given, and no buffer as one of another size', () => {
  const pool = createBufferPool()
  const small = pool.acquire(1000)
  const half = pool.acquire(large / 2)
  const others = [small, half, Buffer.allocUnsafeSlow(large)]
  expect(small.length).toBe(1000)
  pool.release(others)
  const taken = [pool.acquire(large), pool.acquire(1000)]
  expect(taken.filter(({ buffer }) => others.some((other) => other.buffer === buffer))).toEqual([])
  expect(pool.acquire(large / 2).buffer).toBe(half.buffer)
})

test('of many that are released at once only 64 MiB are kept, whatever their sizes', () => {
  const pool = createBufferPool()
  const halves = Array.from({ length: 100 }, () => pool.acquire(large / 2))
  const wholes = Array.from({ length: 100 }, () => pool.acquire(large))
  pool.release([...halves, ...wholes])
  const known = new Set([...halves, ...wholes].map(({ buffer }) => buffer))
  const again = (bytes: number) =>
    Array.from({ length: 100 }, () => pool.acquire(bytes)).filter(({ buffer }) => known.has(buffer))
  expect(again(large / 2).length).toBe(100)
  expect(again(large).length).toBe(14)
})

test('what is not needed goes, and what is needed stays', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const pool = createBufferPool()
  const [first, second] = [pool.acquire(large), pool.acquire(large)]
  pool.release([first, second])
  for (let sweeps = 0; sweeps < 3; sweeps++) {
    vi.advanceTimersByTime(7_500)
    // The youngest: the other one was not needed.
    const needed = pool.acquire(large)
    expect(needed.buffer).toBe(second.buffer)
    pool.release([needed])
  }
  const [still, anew] = [pool.acquire(large), pool.acquire(large)]
  expect(still.buffer).toBe(second.buffer)
  expect(anew.buffer).not.toBe(first.buffer)
  pool.release([still, anew])
  vi.advanceTimersByTime(3 * 7_500)
  expect(vi.getTimerCount()).toBe(0)
  expect([still.buffer, anew.buffer]).not.toContain(pool.acquire(large).buffer)
})
