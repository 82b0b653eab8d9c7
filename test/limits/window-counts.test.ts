import { expect, test } from 'vitest'
import { createTokenRate } from '../../src/limits/token-rate.ts'
import { createWindowCounts, type ShareCount } from '../../src/limits/window-counts.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

const rate = { limit: 100, windowMs: 10_000 }

test('what is counted is forgotten with its window, at one instant for all processes', () => {
  const clock = createFakeClock()
  const counts = createWindowCounts({ clock, maxKeys: 10 })
  expect([counts.add('a', rate), counts.add('a', rate), counts.add('b', rate)]).toEqual([1, 2, 1])
  clock.advance(9_999)
  expect(counts.msLeft(rate)).toBe(1)
  expect(counts.add('a', rate)).toBe(3)
  clock.advance(1)
  expect(counts.add('a', rate)).toBe(1)
})

test('a flood of keys has the oldest forgotten, and takes no more memory', () => {
  const counts = createWindowCounts({ clock: createFakeClock(), maxKeys: 2 })
  for (const key of ['a', 'b', 'c']) counts.add(key, rate)
  expect(counts.add('c', rate)).toBe(2)
  expect(counts.add('a', rate)).toBe(1)
})

/** A place where processes add up, whose answers come when the test lets them. */
function sharedPlace() {
  const told = new Map<string, number>()
  const asked: { own: number; answer: () => void; fail: () => void }[] = []
  const shareAs =
    (process: string): ShareCount =>
    (key, own) =>
      new Promise((resolve, reject) => {
        asked.push({
          own,
          answer() {
            told.set(`${key} ${process}`, own)
            resolve([...told.values()].reduce((sum, count) => sum + count))
          },
          fail: () => reject(new Error('Redis is away')),
        })
      })
  return { asked, shareAs, told }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('processes learn what the others counted, and nobody waits for it', async () => {
  const clock = createFakeClock()
  const place = sharedPlace()
  const [one, other] = ['one', 'other'].map((process) =>
    createWindowCounts({ clock, share: place.shareAs(process), maxKeys: 10 }),
  )
  // Two in a hundred are held back, so that not each of them costs a command.
  for (const expected of [1, 2, 3, 4]) expect(one?.add('a', rate)).toBe(expected)
  expect(place.asked.map(({ own }) => own)).toEqual([2])
  place.asked[0]?.answer()
  await turn()
  expect(place.asked.map(({ own }) => own)).toEqual([2, 4])
  place.asked[1]?.answer()
  await turn()
  other?.add('a', rate)
  other?.add('a', rate)
  place.asked[2]?.answer()
  await turn()
  expect(other?.add('a', rate)).toBe(4 + 3)
})

test('without the others everyone counts alone, and nothing of it is lost when they are back', async () => {
  const place = sharedPlace()
  const share = place.shareAs('one')
  const counts = createWindowCounts({ clock: createFakeClock(), share, maxKeys: 10 })
  counts.add('a', rate)
  counts.add('a', rate)
  place.asked[0]?.fail()
  await turn()
  expect(counts.add('a', rate)).toBe(3)
  expect(place.asked.map(({ own }) => own)).toEqual([2, 3])
  place.asked[1]?.answer()
  await turn()
  expect([...place.told.values()]).toEqual([3])
})

test.each([Number.NaN, -5, Number.POSITIVE_INFINITY])(
  'a total of %s from a place that lies takes nothing from what this process counted',
  async (total) => {
    const counts = createWindowCounts({
      clock: createFakeClock(),
      share: async () => total,
      maxKeys: 10,
    })
    for (let i = 0; i < 5; i++) counts.add('a', rate)
    await turn()
    expect(counts.add('a', rate)).toBe(6)
  },
)

test('a token has its own rate, or the usual one, or none', () => {
  const clock = createFakeClock()
  const counts = createWindowCounts({ clock, maxKeys: 10 })
  const tokens = createTokenRate(counts, { limit: 2, windowMs: 10_000 })
  const waits = (id: number, own?: Parameters<typeof tokens.take>[1]) =>
    [1, 2, 3].map(() => tokens.take(id, own)?.waitMs)
  expect(waits(1)).toEqual([0, 0, 10_000])
  expect(waits(2, { limit: 1, windowMs: 60_000 })).toEqual([0, 60_000, 60_000])
  expect(waits(3, null)).toEqual([undefined, undefined, undefined])
  expect(createTokenRate(counts, null).take(4, undefined)).toBeUndefined()
  clock.advance(10_000)
  expect(waits(1)).toEqual([0, 0, 10_000])
})
