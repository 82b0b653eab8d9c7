import { hash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  type ImportFields,
  readImportedCredential,
  readNamedGrants,
} from '../../src/core/imported-credential.ts'
import { digestToken, mintToken } from '../../src/core/token.ts'

const now = Date.UTC(2026, 10, 24, 12)
const token = 'a-token-of-another-program'
const whole = { name: 'shop', token, domains: 'acme.test' }

function read(fields: ImportFields, more = {}) {
  return readImportedCredential(fields, {
    defaultGrants: [],
    defaultName: undefined,
    tokenPrefix: 'pst_',
    now,
    ...more,
  })
}

function credential(fields: ImportFields, more = {}) {
  const outcome = read(fields, more)
  if (!outcome.ok) throw new Error(outcome.problem)
  return outcome.value
}

test('a token in the clear is kept by its digest and its last four characters', () => {
  expect(credential(whole)).toEqual({
    name: 'shop',
    digest: digestToken(token),
    lastFour: 'gram',
    bearerToken: token,
    grants: [{ domain: 'acme.test', level: 'admin' }],
    expiresAt: null,
    createdAt: null,
  })
})

test('a digest is taken in hexadecimal, base64 and base64url, and is the one that the gate looks up', () => {
  const bytes = hash('sha256', token, 'buffer')
  const spellings = [
    bytes.toString('hex'),
    bytes.toString('hex').toUpperCase(),
    bytes.toString('base64'),
    bytes.toString('base64url'),
  ]
  for (const sha256 of spellings) {
    const { digest, bearerToken } = credential({ name: 'x', sha256, domains: 'acme.test' })
    expect(digest).toBe(digestToken(token))
    expect(bearerToken).toBeNull()
  }
})

test('two spellings of the same 32 bytes in base64 are one digest', () => {
  const zeros = { name: 'x', domains: 'acme.test' }
  const { digest } = credential({ ...zeros, sha256: 'A'.repeat(43) })
  expect(credential({ ...zeros, sha256: `${'A'.repeat(42)}B` }).digest).toBe(digest)
})

test('a token of our own is taken over with its checksum', () => {
  const own = mintToken('pst_', randomBytes)
  expect(credential({ ...whole, token: own }).digest).toBe(digestToken(own))
})

test('what a row does not say is taken from the defaults, and only then', () => {
  const defaults = {
    defaultName: 'legacy',
    defaultGrants: [{ domain: 'other.test', level: 'viewer' }],
  }
  expect(credential({ token }, defaults)).toMatchObject({
    name: 'legacy',
    grants: [{ domain: 'other.test', level: 'viewer' }],
  })
  expect(credential(whole, defaults)).toMatchObject({
    name: 'shop',
    grants: [{ domain: 'acme.test', level: 'admin' }],
  })
  expect(credential({ token, account_level: 'viewer' }, defaults).grants).toEqual([
    { domain: null, level: 'viewer' },
  ])
})

test('instants are read, and "never" is none', () => {
  const read = credential({
    ...whole,
    expires_at: '2027-06-01',
    created_at: '2020-02-29T10:00:00Z',
  })
  expect(read).toMatchObject({
    expiresAt: Date.UTC(2027, 5, 1),
    createdAt: Date.UTC(2020, 1, 29, 10),
  })
  expect(credential({ ...whole, expires_at: 'never' }).expiresAt).toBeNull()
})

test.each<[string, ImportFields, RegExp]>([
  ['without a name', { ...whole, name: '' }, /no name/],
  ['with a control character in its name', { ...whole, name: 'a\nb' }, /control character/],
  ['without a secret', { ...whole, token: '' }, /neither a token nor a sha256/],
  ['with two secrets', { ...whole, sha256: 'a'.repeat(64) }, /both/],
  ['with a token that could be guessed', { ...whole, token: 'hunter2hunter2!' }, /guessed/],
  ['with a blank in its token', { ...whole, token: 'a token with blanks' }, /ASCII/],
  ['with a token beyond ASCII', { ...whole, token: 'a-tökèn-that-is-long' }, /ASCII/],
  ['that no gate would look up', { ...whole, token: 'x'.repeat(513) }, /too long/],
  ['that our own prefix makes unacceptable', { ...whole, token: `pst_${'x'.repeat(36)}` }, /cut/],
  ['with a digest of another length', { ...whole, token: '', sha256: 'abc123' }, /64 hexadecimal/],
  ['without permissions', { ...whole, domains: '' }, /no permissions/],
  ['with a domain that is none', { ...whole, domains: 'acme' }, /NAME or NAME:LEVEL/],
  ['with a level that is none', { ...whole, domains: 'acme.test:owner' }, /admin or viewer/],
  ['with a domain twice', { ...whole, domains: 'acme.test ACME.test:viewer' }, /twice/],
  ['with an account level that is none', { ...whole, account_level: 'owner' }, /admin or viewer/],
  ['with an expiry that is none', { ...whole, expires_at: '2027-02-30' }, /not a date/],
  ['that has expired', { ...whole, expires_at: '2020-01-01' }, /expired/],
  ['made in the future', { ...whole, created_at: '2030-01-01' }, /to come/],
  [
    'with more than four last characters',
    { ...whole, token: '', sha256: 'a'.repeat(64), last_four: 'abcde' },
    /last_four/,
  ],
])('a credential %s is refused, and the problem repeats no secret', (_, fields, problem) => {
  const outcome = read(fields)
  expect(outcome).toEqual({ ok: false, problem: expect.stringMatching(problem) })
  for (const secret of [fields.token, fields.sha256]) {
    if (secret) expect(JSON.stringify(outcome)).not.toContain(secret)
  }
})

describe('a list of domains', () => {
  test.each([
    ['acme.test', [['acme.test', 'admin']]],
    [
      'acme.test:viewer, ÉXAMPLE.test;b.test',
      [
        ['acme.test', 'viewer'],
        ['xn--xample-9ua.test', 'admin'],
        ['b.test', 'admin'],
      ],
    ],
    ['  ', []],
  ])('%j', (text, expected) => {
    expect(readNamedGrants(text)).toEqual({
      ok: true,
      value: expected.map(([domain, level]) => ({ domain, level })),
    })
  })
})
