import { expect, test } from 'vitest'
import { readKeptCases } from './property.ts'
import { propertyNames } from './property-names.ts'

test('every kept case is tried: its guarantee is among the properties', () => {
  const names = propertyNames()
  expect(new Set(names).size).toBe(names.length)
  expect(names.length).toBeGreaterThan(10)
  const kept = readKeptCases()
  expect(kept.length).toBeGreaterThan(0)
  expect(kept.map(({ guarantee }) => guarantee).filter((one) => !names.includes(one))).toEqual([])
})
