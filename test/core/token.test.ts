import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  digestToken,
  isTokenPrefix,
  isWellFormed,
  lastFour,
  mintToken,
} from '../../src/core/token.ts'

const mint = () => mintToken('pst_', randomBytes)

describe('a minted token', () => {
  test('has its prefix, 30 characters of base62 and a checksum', () => {
    expect(mint()).toMatch(/^pst_[0-9A-Za-z]{36}$/)
  })

  test('is well-formed', () => {
    expect(isWellFormed(mint(), 'pst_')).toBe(true)
  })

  test('uses every character of base62 about equally', () => {
    const counts = new Map<string, number>()
    for (let i = 0; i < 2_000; i++) {
      for (const character of mint().slice(4, 34)) {
        counts.set(character, (counts.get(character) ?? 0) + 1)
      }
    }
    expect(counts.size).toBe(62)
    // 60,000 draws over 62 characters: 968 each; 7 sigma is about 215.
    for (const count of counts.values()) expect(Math.abs(count - 968)).toBeLessThan(215)
  })

  test('is never made of bytes that would favour some characters', () => {
    const biased = () => new Uint8Array(30).fill(250)
    let calls = 0
    const token = mintToken('pst_', () => (calls++ === 0 ? biased() : new Uint8Array(30).fill(61)))
    expect(token.slice(4, 34)).toBe('z'.repeat(30))
  })
})

describe('a presented token', () => {
  test.each([
    ['', 'nothing'],
    [' ', 'a space'],
    ['a b', 'a space inside'],
    ['abc\n', 'a line end'],
    ['abc\0', 'a NUL'],
    ['tökén', 'letters beyond ASCII'],
    ['x'.repeat(513), 'more than 512 characters'],
    ['pst_short', 'our prefix without a checksum'],
  ])('that is %j is malformed: %s', (text) => {
    expect(isWellFormed(text, 'pst_')).toBe(false)
  })

  test.each([
    '4c2446b6e0f911ec94870a58a9feac02',
    'SG.abc-def_ghi',
    'x',
    '!"#$%&()*+,-./:;<=>?@[]^_{|}~',
  ])('of another issuer is looked up: %s', (text) => {
    expect(isWellFormed(text, 'pst_')).toBe(true)
  })
})

test('the digest is the base64url SHA-256 of the text', () => {
  // FIPS 180-2, appendix B.1: SHA-256("abc").
  const known = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  expect(digestToken('abc')).toBe(Buffer.from(known, 'hex').toString('base64url'))
})

test('the last four characters are kept for people', () => {
  expect(lastFour('pst_abcdWXYZ')).toBe('WXYZ')
})

test.each([
  ['pst_', true],
  ['acme-live-', true],
  ['_', true],
  ['pst', false],
  ['', false],
  ['with space_', false],
  [`${'a'.repeat(20)}_`, false],
])('a prefix %j is accepted: %s', (prefix, accepted) => {
  expect(isTokenPrefix(prefix)).toBe(accepted)
})
