import { expect, test } from 'vitest'
import { createLatencies, curveOf } from '../../bench/measure/latency.ts'
import { createPace } from '../../bench/measure/pace.ts'

const millisecond = 1e6

test('a subject that stalls is charged for everybody who would have come meanwhile', () => {
  const pace = createPace({ startsAt: 1_000, perSecond: 1_000, forMs: 2_000 })
  const latencies = createLatencies()
  /** Answers at once, except that it does nothing from 1.5 to 2.5 seconds. */
  const answeredAt = (now: number) => (now >= 1_500 && now < 2_500 ? 2_500 : now)
  for (let now = 1_000; !pace.isOver(); now = Math.max(now + 1, answeredAt(now))) {
    for (let due = pace.takeDue(now); due !== undefined; due = pace.takeDue(now)) {
      latencies.record((answeredAt(now) - due) * millisecond)
    }
  }
  expect(latencies.count).toBe(2_000)
  // Half of all came during the stall. A client that waits would have seen one slow answer in a thousand.
  expect(latencies.at(49) / millisecond).toBeLessThan(1)
  expect(latencies.at(75) / millisecond).toBeCloseTo(500, -1)
  expect(latencies.at(100) / millisecond).toBeCloseTo(1_000, -1)
})

test('nothing begins before it is due, and no more than was asked for', () => {
  const pace = createPace({ startsAt: 100, perSecond: 10, forMs: 300 })
  expect(pace.takeDue(99)).toBeUndefined()
  expect(pace.untilNext(40)).toBe(60)
  expect(pace.takeDue(150)).toBe(100)
  expect(pace.takeDue(150)).toBeUndefined()
  expect([pace.takeDue(10_000), pace.takeDue(10_000), pace.takeDue(10_000)]).toEqual([
    200,
    300,
    undefined,
  ])
  expect(pace.isOver()).toBe(true)
})

test('histograms of several processes are one when they are added', () => {
  const first = createLatencies()
  const second = createLatencies()
  for (let i = 1; i <= 500; i++) {
    first.record(i * millisecond)
    second.record((i + 500) * millisecond)
  }
  const together = createLatencies(first.encode())
  together.add(createLatencies(second.encode()))
  expect(together.count).toBe(1_000)
  expect(together.at(50) / millisecond).toBeCloseTo(500, -1)
  expect(together.at(99) / millisecond).toBeCloseTo(990, -1)
})

test('a curve ends where the measurements do', () => {
  const latencies = createLatencies()
  for (let i = 0; i < 200; i++) latencies.record(millisecond)
  const last = curveOf(latencies).at(-1)
  expect(last?.percentile).toBe(99.4)
})
