import { describe, expect, test } from 'vitest'
import { createLease } from '../../src/fleet/lease.ts'

/** Each clock moves by itself. */
function createClocks() {
  let [wall, monotonic, uptime] = [Date.UTC(2026, 10, 24, 12), 5_000, 900_000]
  return {
    now: () => wall,
    monotonic: () => monotonic,
    uptime: () => uptime,
    pass(ms: number) {
      wall += ms
      monotonic += ms
      uptime += ms
    },
    setWallClock(ms: number) {
      wall += ms
    },
    suspend(ms: number) {
      wall += ms
      uptime += ms
    },
  }
}

test('without a renewal there is no lease', () => {
  expect(createLease(createClocks(), 10_000).holds()).toBe(false)
})

test('it counts from when it was asked for, and ends short of its time by what two clocks may err', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  const askedAt = clocks.monotonic()
  clocks.pass(4_000)
  lease.renew(askedAt)
  clocks.pass(5_780)
  expect(lease.holds()).toBe(true)
  clocks.pass(20)
  expect(lease.holds()).toBe(false)
})

test('an older answer that comes later does not shorten it', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  lease.renew(clocks.monotonic() - 9_000)
  clocks.pass(9_000)
  expect(lease.holds()).toBe(true)
})

test('a wall clock that is set, forwards or backwards, means nothing', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  for (const ms of [3_600_000, -7_200_000, 150]) {
    clocks.setWallClock(ms)
    expect(lease.holds()).toBe(true)
  }
})

test('it is over when the machine was asleep, and so is a renewal that was asked for before', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  const askedAt = clocks.monotonic()
  clocks.suspend(60_000)
  expect(lease.holds()).toBe(false)
  clocks.pass(1)
  lease.renew(askedAt)
  expect(lease.holds()).toBe(false)
  clocks.pass(1)
  lease.renew(clocks.monotonic())
  expect(lease.holds()).toBe(true)
})

test('a machine that wakes with the wall clock of its falling asleep is found out all the same', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  clocks.suspend(60_000)
  clocks.setWallClock(-60_000)
  clocks.pass(10)
  expect(lease.holds()).toBe(false)
  clocks.pass(1)
  const askedAt = clocks.monotonic()
  clocks.suspend(60_000)
  clocks.setWallClock(-60_000)
  clocks.pass(1)
  lease.renew(askedAt)
  expect(lease.holds()).toBe(false)
})

test('a renewal whose answer comes first after the sleep is no lease either', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  const askedAt = clocks.monotonic()
  clocks.suspend(60_000)
  clocks.pass(1)
  lease.renew(askedAt)
  expect(lease.holds()).toBe(false)
})

test('dropped it comes back with a renewal that is asked for afterwards; ended it never does', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  const before = clocks.monotonic()
  clocks.pass(1)
  lease.drop()
  lease.renew(before)
  expect(lease.holds()).toBe(false)
  clocks.pass(1)
  lease.renew(clocks.monotonic())
  expect(lease.holds()).toBe(true)
  lease.end()
  lease.renew(clocks.monotonic())
  expect(lease.holds()).toBe(false)
})

/** A process that is set aside by a busy machine just before it reads the uptime, so many times. */
function setAsideBeforeUptime(clocks: ReturnType<typeof createClocks>, times: number, ms: number) {
  let left = times
  const { uptime } = clocks
  clocks.uptime = () => {
    if (left > 0) {
      left -= 1
      clocks.pass(ms)
    }
    return uptime()
  }
}

test('a process that is set aside between the two clocks has not slept', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  setAsideBeforeUptime(clocks, 1, 400)
  clocks.pass(50)
  expect(lease.holds()).toBe(true)
  setAsideBeforeUptime(clocks, 1, 400)
  clocks.setWallClock(3_600_000)
  expect(lease.holds()).toBe(true)
  clocks.suspend(150)
  clocks.pass(50)
  expect(lease.holds()).toBe(false)
})

test('one that is set aside again and again cannot tell, and gives the lease up', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  setAsideBeforeUptime(clocks, Number.POSITIVE_INFINITY, 400)
  clocks.pass(50)
  expect(lease.holds()).toBe(false)
})

describe('one that could not tell finds out about the next sleep', () => {
  function createUntold() {
    const clocks = createClocks()
    const lease = createLease(clocks, 10_000)
    lease.renew(clocks.monotonic())
    setAsideBeforeUptime(clocks, 5, 5_000)
    clocks.pass(50)
    expect(lease.holds()).toBe(false)
    clocks.pass(1)
    return { clocks, lease }
  }

  test('after a renewal', () => {
    const { clocks, lease } = createUntold()
    lease.renew(clocks.monotonic())
    expect(lease.holds()).toBe(true)
    clocks.suspend(4_900)
    expect(lease.holds()).toBe(false)
  })

  test('during a renewal', () => {
    const { clocks, lease } = createUntold()
    const askedAt = clocks.monotonic()
    clocks.suspend(4_900)
    clocks.pass(1)
    lease.renew(askedAt)
    expect(lease.holds()).toBe(false)
  })

  test('and one that could not when it began, with its first renewal', () => {
    const clocks = createClocks()
    setAsideBeforeUptime(clocks, 5, 5_000)
    const lease = createLease(clocks, 10_000)
    lease.renew(clocks.monotonic())
    clocks.pass(1)
    lease.renew(clocks.monotonic())
    expect(lease.holds()).toBe(true)
    clocks.suspend(4_900)
    expect(lease.holds()).toBe(false)
  })
})

test('one that was set aside between the two clocks until its time was over has no lease', () => {
  const clocks = createClocks()
  const lease = createLease(clocks, 10_000)
  lease.renew(clocks.monotonic())
  clocks.pass(9_500)
  setAsideBeforeUptime(clocks, 1, 400)
  expect(lease.left()).toBeGreaterThan(0)
  expect(lease.holds()).toBe(false)
  expect(lease.left()).toBeLessThan(0)
})
