import { randomBytes } from 'node:crypto'
import { domainToASCII, domainToUnicode } from 'node:url'
import fc from 'fast-check'
import addressparser from 'nodemailer/lib/addressparser'
import { toASCII as encodeLabels } from 'nodemailer/lib/punycode'
import { expect } from 'vitest'
import { parseConfig, settings } from '../../src/config.ts'
import { parseAddress } from '../../src/core/address.ts'
import { readCredential } from '../../src/core/credential-fields.ts'
import { normaliseDomain } from '../../src/core/domain.ts'
import { parseDuration } from '../../src/core/duration.ts'
import { digestToken, isTokenPrefix, isWellFormed, mintToken } from '../../src/core/token.ts'
import { guarantee } from './property.ts'

/** Texts that people type, and texts that nobody should. */

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.string({ unit: 'grapheme' }),
)

const label = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9-]{1,10}$/),
  fc.constantFrom(
    'example',
    'EXAMPLE',
    'bücher',
    'BÜCHER',
    'xn--bcher-kva',
    'XN--BCHER-KVA',
    '例え',
  ),
  fc.constantFrom(
    'straße',
    'faß',
    'xn--fa-hia',
    'ﬁrst',
    'ｅx',
    'K',
    'ſ',
    'İ',
    'ı',
    'ا',
    '123',
    '0x7f',
  ),
  fc.constantFrom(
    '',
    ' ',
    '_',
    '%61',
    '\0',
    '\u00ad',
    '\u200d',
    '\u200b',
    '.',
    'a\u0301',
    'xn--',
    'xn--a',
  ),
  fc.string({ unit: 'binary', maxLength: 4 }),
)
const domainText = fc
  .tuple(
    fc.array(label, { maxLength: 4 }),
    fc.constantFrom('.', '.', '.', '.', '。', '．', '..'),
    label,
  )
  .map(([labels, dot, last]) => [...labels, last].join(dot))

guarantee(
  'a domain that is accepted is no other name to another implementation, and stays what it is',
  { runs: 3_000, input: fc.oneof({ weight: 9, arbitrary: domainText }, anyText) },
  (text) => {
    const name = normaliseDomain(text)
    if (name === undefined) return
    expect(name).toMatch(/^[a-z0-9.-]+$/)
    // That one may be of an older Unicode, and know no such letter.
    expect(['', name]).toContain(domainToASCII(text))
    // One that encodes what it is given, and maps nothing but letters to lower case.
    expect(encodeLabels(text.toLowerCase().normalize('NFC'))).toBe(name)
    // A `k` to who maps it, and no letter of ASCII to who does not.
    expect(text).not.toContain('\u212a')
    expect(normaliseDomain(name)).toBe(name)
    expect(normaliseDomain(domainToUnicode(name) || name)).toBe(name)
    expect(normaliseDomain(name.toUpperCase())).toBe(name)
    for (const other of [`${text}.`, ` ${text}`, `${text}\n`, `${text}/`, `x@${text}`]) {
      expect(normaliseDomain(other)).toBeUndefined()
    }
  },
)

const addressText = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: domainText },
      { weight: 4, arbitrary: fc.constantFrom('@', 'a', 'a.b', '"a b"', '"', '\\', ok('+tag')) },
      {
        weight: 1,
        arbitrary: fc.constantFrom('<', '>', ',', '(x)', ' ', '\r\n', ':', ';', '[', ']'),
      },
      { weight: 1, arbitrary: anyText },
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => parts.join(''))
function ok(text: string) {
  return `hello${text}`
}

guarantee(
  'an address is accepted only if it is one mailbox to another parser too, at the same domain',
  {
    runs: 3_000,
    input: fc.oneof(
      addressText,
      fc
        .tuple(fc.constantFrom('a', 'a.b+c', '"a b"', '"a,b"', 'jörg'), domainText)
        .map((p) => p.join('@')),
    ),
  },
  (text) => {
    const address = parseAddress(text)
    if (address === undefined) return
    const found = addressparser(text, { flatten: true })
    expect(found).toHaveLength(1)
    const [mailbox] = found
    const at = mailbox?.address.lastIndexOf('@') ?? 0
    expect(['', address.domain]).toContain(domainToASCII(mailbox?.address.slice(at + 1) ?? ''))
    expect(text.startsWith(`${address.localPart}@`)).toBe(true)
    expect(text).not.toMatch(/[\s<>\0]$|^[\s<>]/)
  },
)

const prefix = fc.stringMatching(/^[A-Za-z0-9_.-]{0,8}[_.-]$/)

guarantee(
  'a minted token is well-formed, and with one character changed, put in or taken out it is refused without a look-up',
  {
    runs: 1_000,
    input: fc.record({
      prefix,
      at: fc.nat(35),
      // Beyond base62 too: what may not be in a token at all must not get through either.
      character: fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 1 }),
      how: fc.constantFrom('change', 'put in', 'take out'),
    }),
  },
  ({ prefix: chosen, at, character, how }) => {
    expect(isTokenPrefix(chosen)).toBe(true)
    const token = mintToken(chosen, randomBytes)
    expect(isWellFormed(token, chosen)).toBe(true)
    const place = chosen.length + at
    const before = token.slice(0, place)
    const after = token.slice(how === 'put in' ? place : place + 1)
    const changed = how === 'take out' ? before + after : before + character + after
    fc.pre(changed !== token)
    expect(isWellFormed(changed, chosen)).toBe(false)
  },
)

guarantee(
  'any text is a token of printable characters or malformed, and is never shown by its digest',
  { runs: 1_000, input: fc.oneof(anyText, fc.string({ minLength: 500, maxLength: 520 })) },
  (text) => {
    const isPrintable = /^[!-~]{1,512}$/.test(text)
    expect(isWellFormed(text, 'pst_')).toBe(isPrintable && !text.startsWith('pst_'))
    expect(digestToken(text)).toMatch(/^[\w-]{43}$/)
  },
)

const credentialField = fc.tuple(
  fc.constantFrom(
    'Authorization',
    'authorization',
    'API-TOKEN',
    'Api-Token',
    'X-Api-Token',
    'Cookie',
  ),
  fc.oneof(
    fc
      .tuple(fc.constantFrom('Bearer ', 'bearer  ', 'BEARER\t', 'Bearer', 'Basic '), fc.string())
      .map((p) => p.join('')),
    anyText,
  ),
)

guarantee(
  'of a request’s fields one credential is read, or none; two are never chosen between',
  { runs: 2_000, input: fc.array(credentialField, { maxLength: 4 }) },
  (fields) => {
    const read = readCredential(fields.flat())
    // Another way to the same: all of them by their names.
    const named = (name: string) =>
      fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value)
    const all = [
      ...named('authorization').map((value) => ['a', value]),
      ...named('api-token').map((value) => ['t', value]),
    ]
    if (all.length !== 1) {
      expect(read.found).toBe(all.length === 0 ? 'none' : 'several')
      return
    }
    const [[kind, value = ''] = []] = all
    const isBearer =
      value.slice(0, 7).toLowerCase() === 'bearer ' && !/[\n\r\u2028\u2029]/.test(value)
    if (kind === 't') expect(read).toEqual({ found: 'one', bearerToken: value })
    else if (!isBearer) expect(read.found).toBe('other-scheme')
    else expect(read).toEqual({ found: 'one', bearerToken: value.slice(7).replace(/^ +/, '') })
  },
)

guarantee(
  'a duration is a number of one unit, or it is refused',
  {
    runs: 1_000,
    input: fc.oneof(
      anyText,
      fc
        .tuple(fc.nat(999_999), fc.constantFrom('ms', 's', 'm', 'h', 'd', '', ' s', 'S'))
        .map((p) => p.join('')),
    ),
  },
  (text) => {
    const ms = parseDuration(text)
    const [, amount, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
    const units: Record<string, number> = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5 }
    expect(ms).toBe(
      amount ? Number(amount) * (units[unit ?? ''] ?? 0) : text === '0' ? 0 : undefined,
    )
  },
)

const variables = Object.values(settings).map(({ variable }) => variable)
const settingPiece = fc.constantFrom(
  ...[
    'http://',
    'https://',
    'smtp://',
    'smtps://',
    'redis://',
    'rediss-sentinel://',
    'postgres://',
    'sqlite:',
  ],
  ...[
    'user:s3cret@',
    ':s3cret@',
    '%zz:s3cret@',
    'host',
    'a.test',
    '[::1]',
    '127.0.0.1',
    ':25',
    ':0',
    ':99999',
  ],
  ...[
    '/',
    '/path',
    '?q',
    '#h',
    ',',
    ' ',
    'none',
    'true',
    '0',
    '12',
    'closed',
    'grace:5m',
    'POST',
    '/api/{id}',
    'send',
  ],
)
const settingText = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.array(settingPiece, { minLength: 1, maxLength: 5 }).map((p) => p.join('')),
  },
  { weight: 1, arbitrary: anyText },
)

const mayHoldPassword =
  /^POSTERN_(UPSTREAM_(HTTP|SMTP)(_BULK|_SANDBOX)?|(DATABASE|REDIS|PUBLIC_[A-Z]+)_URL) /

guarantee(
  'whatever the settings say, each problem names its setting in a sentence, and none shows a password',
  {
    runs: 1_500,
    input: fc.record({
      mode: fc.constantFrom('dev' as const, 'serve' as const, 'tool' as const),
      given: fc.dictionary(fc.constantFrom(...variables), settingText, { minKeys: 1, maxKeys: 4 }),
    }),
  },
  ({ mode, given }) => {
    const result = parseConfig(mode, [given])
    const said = result.ok ? result.warnings : result.problems
    for (const sentence of said) {
      if (mayHoldPassword.test(sentence)) expect(sentence).not.toContain('s3cret')
    }
    if (result.ok) return
    for (const problem of result.problems) {
      expect(problem).toMatch(
        /^POSTERN_[A-Z_]+ .*\b(must|needs?|required|together|does not|cannot)\b/s,
      )
    }
  },
)
