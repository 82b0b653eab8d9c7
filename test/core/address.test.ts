import { describe, expect, test } from 'vitest'
import { parseAddress } from '../../src/core/address.ts'
import { normaliseDomain } from '../../src/core/domain.ts'

describe('a domain is kept and compared as lower-case A-labels', () => {
  test.each([
    ['example.com', 'example.com'],
    ['EXAMPLE.Com', 'example.com'],
    ['mail.example.com', 'mail.example.com'],
    ['bücher.de', 'xn--bcher-kva.de'],
    ['BÜCHER.de', 'xn--bcher-kva.de'],
    ['bu\u0308cher.de', 'xn--bcher-kva.de'],
    ['xn--bcher-kva.de', 'xn--bcher-kva.de'],
    ['XN--BCHER-KVA.de', 'xn--bcher-kva.de'],
    ['faß.de', 'xn--fa-hia.de'],
    ['пример.рф', 'xn--e1afmkfd.xn--p1ai'],
    ['bücher.xn--p1ai', 'xn--bcher-kva.xn--p1ai'],
    ['XN--BCHER-KVA.рф', 'xn--bcher-kva.xn--p1ai'],
    ['1.2.example', '1.2.example'],
    ['a-b.c1', 'a-b.c1'],
    [`${'a'.repeat(63)}.com`, `${'a'.repeat(63)}.com`],
  ])('%s is %s', (written, kept) => {
    expect(normaliseDomain(written)).toBe(kept)
    expect(normaliseDomain(kept)).toBe(kept)
  })

  test.each([
    '',
    '.',
    'com',
    'localhost',
    'example.com.',
    '.example.com',
    'a..b',
    '-a.com',
    'a-.com',
    'a_b.com',
    'a b.com',
    ' a.com',
    'a.com ',
    'a.com\0',
    'a.com\n',
    'a,b.com',
    'a@b.com',
    'a/b.com',
    'ex%61mple.com',
    'a:1.com',
    '1.2.3.4',
    '0x7f.1',
    'a.1',
    '[1.2.3.4]',
    '[IPv6:::1]',
    `${'a'.repeat(64)}.com`,
    `${'a.'.repeat(127)}com`,
    'xn--a.com',
    'xn--.com',
    'ab--c.com',
    'example。com',
    'ｅxample.com',
    'o\u212a.test',
    'bücher\u212a.test',
    'bücher。xn--p1ai',
    'ｅx.рф',
    'ℯxample.com',
    'exa\u00admple.com',
    'exam\u200bple.com',
    'a\u2024b.com',
    'exampl\u00e9\u0301\u0301.\u0301com',
    'x'.repeat(5_000),
  ])('%j is none', (written) => {
    expect(normaliseDomain(written)).toBeUndefined()
  })
})

describe('an address is one plain addr-spec', () => {
  test.each([
    ['a@example.com', 'a', 'example.com'],
    ["o'neil+tag=1/2@Example.COM", "o'neil+tag=1/2", 'example.com'],
    ['first.last@sub.example.com', 'first.last', 'sub.example.com'],
    ['用户@例え.jp', '用户', 'xn--r8jz45g.jp'],
    ['"a b"@example.com', '"a b"', 'example.com'],
    ['"a\\"b"@example.com', '"a\\"b"', 'example.com'],
    ['""@example.com', '""', 'example.com'],
    [`${'a'.repeat(64)}@example.com`, 'a'.repeat(64), 'example.com'],
  ])('%s', (text, localPart, domain) => {
    expect(parseAddress(text)).toEqual({ localPart, domain })
  })

  test.each([
    '',
    'a',
    '@',
    'a@',
    '@example.com',
    'a@b',
    'a@@example.com',
    'a@b@example.com',
    'a@evil.test@example.com',
    '<a@example.com>',
    'A <a@example.com>',
    'a@example.com,b@example.com',
    'a@example.com;',
    'a@example.com ',
    ' a@example.com',
    'a @example.com',
    'a@ example.com',
    'a@example.com.',
    'a@[127.0.0.1]',
    'a@127.0.0.1',
    '@relay.test:a@example.com',
    'a.@example.com',
    '.a@example.com',
    'a..b@example.com',
    'a@example.com\r\nX: y',
    'a\n@example.com',
    'a\0@example.com',
    'a@example.com\0',
    'a(c)@example.com',
    'a@example.com(c)',
    '"a"b@example.com',
    '"a@evil.test>"@example.com',
    '"a@b"@example.com',
    '"<a>"@example.com',
    '"a\n"@example.com',
    '"a@example.com',
    'a\ud800@example.com',
    'a\u2028@example.com',
    `${'a'.repeat(65)}@example.com`,
    `${'ü'.repeat(33)}@example.com`,
    `a@${'b.'.repeat(125)}example.com`,
    'a@ex%61mple.com',
    'a\tb@example.com',
    'a\x7f@example.com',
  ])('%j is none', (text) => {
    expect(parseAddress(text)).toBeUndefined()
  })

  test('a long hostile text is refused without long work', () => {
    for (const text of ['a.'.repeat(100_000), `"${'\\"'.repeat(100_000)}`, '@'.repeat(100_000)]) {
      expect(parseAddress(text)).toBeUndefined()
    }
  })
})
