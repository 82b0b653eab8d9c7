import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLowByteSearch } from '../../src/core/low-bytes.ts'

test('the first byte below the limit is found, wherever the bytes lie and wherever it is', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.uint8Array({ min: 0x18, maxLength: 80 }),
    fc.uint8Array({ min: 0x7e, maxLength: 80 }),
  )
  let found = 0
  fc.assert(
    fc.property(
      bytes,
      fc.constantFrom(1, 0x0e, 0x20, 0x7f, 0x80),
      fc.nat(7),
      fc.nat(80),
      fc.nat(80),
      (content, limit, offset, a, b) => {
        // As a piece of something larger, at any alignment, between bytes that must not be seen.
        const around = new Uint8Array(content.length + offset + 8)
        around.set(content, offset)
        const piece = around.subarray(offset, offset + content.length)
        const [from = 0, to = 0] = [a, b].map((n) => Math.min(n, content.length)).toSorted()
        const [start, end] = [Math.min(from, to), Math.max(from, to)]
        const expected = content.findIndex((byte, i) => i >= start && i < end && byte < limit)
        if (expected >= 0) found += 1
        expect(createLowByteSearch(piece, limit)(start, end)).toBe(expected < 0 ? end : expected)
      },
    ),
    { numRuns: 5_000 },
  )
  expect(found).toBeGreaterThan(100)
})
