import { expect, test } from 'vitest'
import { domainTokenName, nameProblem, successorName } from '../../src/core/token-name.ts'

test('the token of a domain is named after it and its own id', () => {
  expect(domainTokenName('example.com', 1234)).toBe('example.com token 1234')
})

test.each([
  ['example.com token 1234', 1234, 4231, 'example.com token 4231'],
  ['Newsletter', 1234, 4231, 'Newsletter 4231'],
  ['Newsletter 4231', 4231, 4300, 'Newsletter 4300'],
  ['Release 2026', 1234, 4231, 'Release 2026 4231'],
  ['Release 12345', 2345, 4231, 'Release 12345 4231'],
  ['1234', 1234, 4231, '1234 4231'],
])('the successor of %j (id %i) with id %i is named %j', (old, oldId, newId, expected) => {
  expect(successorName(old, oldId, newId)).toBe(expected)
})

test.each([
  ['a', undefined],
  ['Grüße 🚪', undefined],
  ['x'.repeat(255), undefined],
  ['x'.repeat(256), 'name is longer than 255 characters'],
  ['', "name can't be blank"],
  ['   ', "name can't be blank"],
  ['a\nb', 'name contains a control character'],
  ['a\u0000', 'name contains a control character'],
  ['a\ud800', 'name contains a control character'],
])('a name %j: %s', (name, problem) => {
  expect(nameProblem(name)).toBe(problem)
})
