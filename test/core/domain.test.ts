import fc from 'fast-check'
import { toASCII } from 'tr46'
import { expect, test } from 'vitest'
import { normaliseDomain } from '../../src/core/domain.ts'

/** What the library says of a name in letters, digits, hyphens and dots. */
function byTables(name: string): string | undefined {
  const ascii = toASCII(name.toLowerCase(), {
    checkBidi: true,
    checkHyphens: true,
    checkJoiners: true,
    transitionalProcessing: false,
    useSTD3ASCIIRules: true,
    verifyDNSLength: true,
  })
  const labels = (ascii ?? '').split('.')
  const isMailDomain = labels.length > 1 && !/^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')
  return ascii === name.toLowerCase() && isMailDomain ? ascii : undefined
}

const label = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'abz019-'), maxLength: 6 }),
  fc.string({ unit: fc.constantFrom(...'aA9-_ '), maxLength: 66 }),
  fc.constantFrom(
    'xn--a',
    'ab--c',
    'a--b',
    'xn--bcher-kva',
    '',
    'a'.repeat(63),
    'a'.repeat(64),
    '-a',
    'a-',
  ),
)

test('names that need no tables are read as the tables would have them', () => {
  let good = 0
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 6 }), (labels) => {
      const name = labels.join('.')
      // An A-label that is one has a U-label, by which it is compared: nothing for the short way.
      fc.pre(!name.includes('xn--bcher-kva'))
      const read = normaliseDomain(name)
      if (read !== undefined) good += 1
      expect(read).toBe(byTables(name))
    }),
    { numRuns: 3_000 },
  )
  expect(good).toBeGreaterThan(30)
})

test.each([252, 253, 254, 300])('a name of %i characters is one up to 253', (length) => {
  const labels = `${'a'.repeat(62)}.`.repeat(4)
  const name = `${labels}${'b'.repeat(Math.max(0, length - labels.length))}`
  expect(normaliseDomain(name)).toBe(length <= 253 ? byTables(name) : undefined)
})
