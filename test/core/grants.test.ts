import { expect, test } from 'vitest'
import { seesDomain } from '../../src/core/authority.ts'
import { parseDuration } from '../../src/core/duration.ts'
import { changedGrants, type Grant, type PermissionChange } from '../../src/core/grants.ts'

const domain = (id: number, level: Grant['level'] = 'admin'): Grant => ({
  resource: { type: 'domain', id },
  level,
})
const account = (level: Grant['level'] = 'admin'): Grant => ({
  resource: { type: 'account', id: 1 },
  level,
})
const without = ({ resource }: Grant): PermissionChange => ({ resource, level: null })

test.each<[string, Grant[], PermissionChange[], Grant[]]>([
  ['nothing said is nothing changed', [domain(1)], [], [domain(1)]],
  ['one more', [domain(1)], [domain(2)], [domain(1), domain(2)]],
  ['another level', [domain(1)], [domain(1, 'viewer')], [domain(1, 'viewer')]],
  ['one taken', [domain(1), domain(2)], [without(domain(1))], [domain(2)]],
  ['one taken that is not there', [domain(1)], [without(domain(2))], [domain(1)]],
  ['account 1 is not domain 1', [domain(1)], [without(account())], [domain(1)]],
  ['the last word on a resource counts', [], [domain(1), without(domain(1))], []],
  [
    'taken, then given',
    [domain(1)],
    [without(domain(1)), domain(1, 'viewer')],
    [domain(1, 'viewer')],
  ],
])('grants after changes: %s', (_what, current, changes, expected) => {
  expect(changedGrants(current, changes)).toEqual(expected)
})

test.each<[string, Grant[], boolean]>([
  ['any grant on it', [domain(7, 'viewer')], true],
  ['any grant on the account', [account('viewer')], true],
  ['none but on another', [domain(8)], false],
  ['none', [], false],
])('a domain is seen by %s', (_what, grants, seen) => {
  expect(seesDomain({ accountId: 1, grants }, { id: 7, accountId: 1 })).toBe(seen)
  expect(seesDomain({ accountId: 1, grants }, { id: 7, accountId: 2 })).toBe(false)
})

test.each<[string, number | undefined]>([
  ['0', 0],
  ['0s', 0],
  ['250ms', 250],
  ['45s', 45_000],
  ['30m', 1_800_000],
  ['12h', 43_200_000],
  ['7d', 604_800_000],
  ['', undefined],
  ['12', undefined],
  ['-1h', undefined],
  ['1.5h', undefined],
  ['12 h', undefined],
  ['12H', undefined],
])('%j is a duration of %s ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})
