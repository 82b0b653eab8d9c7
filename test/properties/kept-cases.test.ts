import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readKeptCases } from './property.ts'

test('every kept case is tried: its guarantee is among the properties', () => {
  const sources = globSync('test/properties/*.test.ts').map((file) => readFileSync(file, 'utf8'))
  const names = sources.flatMap((source) =>
    [...source.matchAll(/^guarantee\(\s*'([^']+)'/gm)].map(([, name]) => name),
  )
  expect(new Set(names).size).toBe(names.length)
  expect(names.length).toBeGreaterThan(10)
  const kept = readKeptCases()
  expect(kept.length).toBeGreaterThan(0)
  expect(kept.map(({ guarantee }) => guarantee).filter((one) => !names.includes(one))).toEqual([])
})
