import { describe, expect, test } from 'vitest'
import { challengeRecord, judgeRecords, nextCheckAt } from '../../src/core/challenge.ts'

const record = challengeRecord('acme.test', 'c0ffee')
const { value } = record

test('a domain is proven below itself, with a value of its own', () => {
  expect(record).toEqual({
    name: '_postern-challenge.acme.test',
    type: 'TXT',
    value: 'postern-verification=c0ffee',
  })
})

describe('what stands in the DNS', () => {
  test.each<[string, string[], string]>([
    ['nothing', [], 'missing'],
    ['the value', [value], 'pass'],
    ['the value among others', ['v=spf1 -all', value, ''], 'pass'],
    ['only others, as of a wildcard', ['v=spf1 -all'], 'fail'],
    ['an empty text', [''], 'fail'],
    ['the value in capitals', [value.toUpperCase()], 'fail'],
    ['the value in quotes', [`"${value}"`], 'fail'],
    ['the value with a space', [`${value} `], 'fail'],
    ['the beginning of the value', [value.slice(0, -1)], 'fail'],
    ['more than the value', [`${value}0`], 'fail'],
    ['the value in two records', [value.slice(0, 9), value.slice(9)], 'fail'],
    ['the challenge alone', ['c0ffee'], 'fail'],
    ['the value of another account', ['postern-verification=decaf'], 'fail'],
  ])('%s', (_what, records, status) => {
    expect(judgeRecords(records, record)).toBe(status)
  })
})

test('looks come after a minute, then ever more rarely up to every six hours, and end after 14 days', () => {
  const since = Date.UTC(2026, 10, 24, 12)
  const minute = 60_000
  const looks: number[] = []
  let at: number | null = since + minute
  while (at !== null) {
    looks.push((at - since) / minute)
    at = nextCheckAt(since, at, minute)
  }
  expect(looks.slice(0, 6)).toEqual([1, 2, 4, 8, 16, 32])
  const pauses = looks.slice(1).map((look, i) => look - (looks[i] ?? 0))
  expect(pauses).toEqual(pauses.toSorted((a, b) => a - b))
  expect(pauses.at(-1)).toBe(360)
  expect(looks.at(-1)).toBeGreaterThanOrEqual(14 * 24 * 60)
  expect(looks.length).toBeLessThan(80)
})
