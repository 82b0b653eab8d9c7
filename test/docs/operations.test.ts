import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { readOutageTable } from '../helpers/outage-table.ts'

test('every row of the outage table is an outage that the tests cause, and each that they cause is a row', () => {
  const sources = globSync('test/e2e/outages*.test.ts').map((file) => readFileSync(file, 'utf8'))
  const caused = sources.flatMap((source) =>
    [...source.matchAll(/outageRow\('([^']+)'\)/g)].map(([, gone]) => gone),
  )
  const told = readOutageTable().map(({ gone }) => gone)
  expect(told.length).toBeGreaterThan(10)
  expect(caused.toSorted()).toEqual(told.toSorted())
})

test('no cell of the outage table is empty', () => {
  for (const row of readOutageTable()) {
    for (const cell of Object.values(row)) expect(cell, row.gone).not.toBe('')
  }
})

test('every metric that a gate shows is explained', () => {
  const page = readFileSync('docs/operations.md', 'utf8')
  const names = [...readFileSync('src/metrics.ts', 'utf8').matchAll(/'(postern_[a-z_]+)'/g)]
  expect(names.length).toBeGreaterThan(8)
  expect(names.map(([, name = '']) => name).filter((name) => !page.includes(name))).toEqual([])
})
