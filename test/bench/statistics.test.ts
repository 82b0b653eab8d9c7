import { expect, test } from 'vitest'
import { median, ratioOf, spreadOf } from '../../bench/measure/statistics.ts'

test('the median is the middle one, or what lies between the two in the middle', () => {
  expect(median([9, 1, 5])).toBe(5)
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([7])).toBe(7)
  expect(() => median([])).toThrow('no median of nothing')
})

test('the order of the rounds is left as it was', () => {
  const rounds = [3, 1, 2]
  expect(spreadOf(rounds)).toEqual({ median: 2, low: 1, high: 3 })
  expect(rounds).toEqual([3, 1, 2])
})

test('a ratio is taken within a round, so that a slow round of both changes nothing', () => {
  expect(ratioOf([20, 200, 22], [10, 100, 10])).toEqual({ median: 2, low: 2, high: 2.2 })
  expect(() => ratioOf([1, 2], [1])).toThrow('do not belong together')
})
