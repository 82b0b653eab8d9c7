import { describe, expect, test } from 'vitest'
import {
  createSenderScanner,
  type SenderScan,
  type SendKind,
} from '../../src/core/sender-scanner.ts'
import { heldBytes } from '../helpers/held-bytes.ts'

function scan(kind: SendKind, body: string | Buffer, pieceLength = Infinity): SenderScan {
  const scanner = createSenderScanner(kind)
  const bytes = Buffer.from(body)
  for (let at = 0; at < bytes.length; at += pieceLength) {
    scanner.write(bytes.subarray(at, at + pieceLength))
  }
  return scanner.end()
}

const from = (email: string) => `"from":{"email":"${email}"}`
const accepted = (...senders: string[]) => ({ ok: true, senders })

describe('the sender of one message', () => {
  test.each([
    [`{${from('a@b.c')}}`, 'a@b.c'],
    ['{"from":{"name":"N","email":"a@b.c","more":[1]}}', 'a@b.c'],
    ['{"fr\\u006fm":{"em\\u0061il":"\\u0061@b.c"}}', 'a@b.c'],
    [`{"from":null,"text":"x","to":[]}`, undefined],
    [`{"to":[{"from":"x"}],"custom_variables":{"from":{"email":"x"}},${from('a@b.c')}}`, 'a@b.c'],
    ['{"from":{"email":"ü@bücher.de"}}', 'ü@bücher.de'],
    ['{"from":{"email":"a@b.c\\n"}}', undefined],
    ['{"from":{"email":null}}', undefined],
    ['{"from":{"email":1}}', undefined],
    ['{"from":{"email":["a@b.c"]}}', undefined],
    ['{"from":{"email":{"email":"a@b.c"}}}', undefined],
    ['{"from":{}}', undefined],
    ['{"from":[]}', undefined],
    ['{"from":"a@b.c"}', undefined],
    ['{"from":true}', undefined],
    ['{}', undefined],
    ['[]', undefined],
    ['null', undefined],
    [`{"from":{"email":"${'a'.repeat(2_000)}@b.c"}}`, undefined],
  ])('%s', (body, sender) => {
    const expected = sender === undefined ? { ok: false } : accepted(sender)
    expect(scan('send', body)).toMatchObject(expected)
    expect(scan('send', body, 1)).toMatchObject(expected)
  })
})

describe('the effective sender of each request in a batch, and that of its base', () => {
  test.each<[string, string, string[], string?]>([
    [
      'from the base',
      `{"base":{${from('a@b.c')}},"requests":[{},{"from":null}]}`,
      ['a@b.c', 'a@b.c'],
      'a@b.c',
    ],
    [
      'the base after the requests',
      `{"requests":[{}],"base":{${from('a@b.c')}}}`,
      ['a@b.c'],
      'a@b.c',
    ],
    [
      'a base that no request needs',
      `{"base":{${from('a@b.c')}},"requests":[{${from('x@y.z')}}]}`,
      ['x@y.z'],
      'a@b.c',
    ],
    [
      'its own before the base',
      `{"base":{${from('a@b.c')}},"requests":[{${from('x@y.z')}},{}]}`,
      ['x@y.z', 'a@b.c'],
      'a@b.c',
    ],
    ['without a base', `{"requests":[{${from('x@y.z')}}]}`, ['x@y.z']],
    ['a base that is null', `{"base":null,"requests":[{${from('x@y.z')}}]}`, ['x@y.z']],
    [
      'a from beside them, which is no sender',
      `{${from('e@vil.x')},"requests":[{${from('x@y.z')}}]}`,
      ['x@y.z'],
    ],
  ])('%s', (_name, body, senders, base) => {
    const expected = { ...accepted(...senders), ...(base && { base }) }
    expect(scan('batch', body)).toEqual(expected)
    expect(scan('batch', body, 1)).toEqual(expected)
  })

  test.each([
    ['no requests', `{"base":{${from('a@b.c')}}}`, [{ text: "empty field: 'requests'" }]],
    ['an empty list', '{"requests":[]}', [{ text: "empty field: 'requests'" }]],
    ['null', '{"requests":null}', [{ text: "empty field: 'requests'" }]],
    ['an object', '{"requests":{}}', [{ text: "'requests' must be an array" }]],
    ['a base that is a list', '{"base":[]}', [{ text: 'It must be an object' }]],
    [
      'requests twice',
      '{"requests":[],"requests":[]}',
      [{ text: "The key 'requests' is there twice" }],
    ],
    [
      'items without a sender, each named',
      `{"requests":[{},{${from('a@b.c')}},{"from":{}},{"from":"x"},7]}`,
      [
        { item: 0, text: "'from' is required" },
        { item: 2, text: "'from' is required" },
        { item: 3, text: "'from' address is invalid" },
        { item: 4, text: 'It must be an object' },
      ],
    ],
    [
      'a sender that is incomplete does not fall back to the base',
      `{"base":{${from('a@b.c')}},"requests":[{"from":{"email":null}}]}`,
      [{ item: 0, text: "'from' is required" }],
    ],
  ])('is refused with %s', (_name, body, problems) => {
    expect(scan('batch', body)).toEqual({ ok: false, problems })
    expect(scan('batch', body, 1)).toEqual({ ok: false, problems })
  })

  test('five hundred are accepted, one more is not', () => {
    const batch = (count: number) =>
      `{"base":{${from('a@b.c')}},"requests":[${'{},'.repeat(count - 1)}{}]}`
    expect(scan('batch', batch(500))).toMatchObject({ ok: true })
    expect(scan('batch', batch(501))).toMatchObject({
      problems: [{ text: "'requests' has more than 500 items" }],
    })
  })
})

describe('keys that two readers could take for different ones', () => {
  const evil = '{"email":"e@vil.x"}'
  test.each([
    ['twice', `"from":${evil}`],
    ['twice, once with an escape', `"\\u0066rom":${evil}`],
    ['in capitals', `"FROM":${evil}`],
    ['with a NUL', `"from\\u0000":${evil}`],
    ['with a NUL and much more', `"from\\u0000${'x'.repeat(2_000)}":${evil}`],
    ['with half a surrogate pair', `"from\\ud800":${evil}`],
    ['with many halves', `"${'\\ud800'.repeat(500)}from":${evil}`],
    ['__proto__', `"__proto__":{"from":${evil}}`],
    ['headers twice', '"headers":{},"headers":{}'],
    ['headers with a long s', '"header\\u017f":{"From":"e@vil.x"}'],
    ['subject in capitals', '"Subject":"x"'],
  ])('%s', (_name, member) => {
    const before = scan('send', `{${member},${from('a@b.c')}}`)
    const after = scan('send', `{${from('a@b.c')},${member}}`)
    const inBatch = scan('batch', `{"requests":[{${from('a@b.c')},${member}}]}`)
    const inBase = scan('batch', `{"base":{${from('a@b.c')},${member}},"requests":[{}]}`)
    for (const result of [before, after, inBatch, inBase]) expect(result.ok).toBe(false)
  })

  test.each([
    '"__proto__":{}',
    '"Email":"x"',
    '"email":"x"',
    '"EMA\\u0130L":"x"',
    '"ema\\u0131l":"x"',
  ])('inside from: %s', (member) => {
    expect(scan('send', `{"from":{"email":"a@b.c",${member}}}`).ok).toBe(false)
  })

  test('the kelvin sign and the long s fold into letters, as in Go', () => {
    expect(scan('batch', `{"ba\\u017fe":{${from('a@b.c')}},"requests":[{}]}`).ok).toBe(false)
  })

  test('keys that say nothing about a sender may be there twice', () => {
    expect(scan('send', `{${from('a@b.c')},"x":1,"x":2,"X":3}`).ok).toBe(true)
  })
})

describe('what becomes a header holds no line break and names no sender', () => {
  test.each([
    '"subject":"a\\nb"',
    '"subject":"a\\u000db"',
    '"category":"\\u0000"',
    '"to":[{"email":"a@b.c","name":"\\r"}]',
    '"to":["a\\nb"]',
    '"cc":[{"email":"\\n"}]',
    '"bcc":[{"x":{"y":["\\n"]}}]',
    '"reply_to":{"email":"\\n"}',
    '"headers":{"X":"a\\nb"}',
    '"headers":{"X\\n":"a"}',
    '"headers":{"X: y":"a"}',
    '"headers":{"":"a"}',
    '"headers":{"Ü":"a"}',
    '"headers":{"From":"a"}',
    '"headers":{"fROM":"a"}',
    '"headers":{"Sender":"a"}',
    '"headers":{"Resent-From":"a"}',
    '"headers":{"\\u0053ender":"a"}',
    '"headers":{"From ":"a"}',
    '"headers":{"X":{"From":"a"}}',
    '"headers":{"__proto__":"a"}',
    '"headers":[{"From":"a"}]',
    '"headers":"From: a"',
    '"attachments":[{"filename":"a\\r\\nb"}]',
    '"attachments":[{"content_id":"a\\u0000"}]',
    '"attachments":[{"Content":"a\\nb"}]',
  ])('%s is refused', (member) => {
    expect(scan('send', `{${from('a@b.c')},${member}}`).ok).toBe(false)
    expect(scan('send', `{${member},${from('a@b.c')}}`, 1).ok).toBe(false)
    expect(scan('batch', `{"base":{${member}},"requests":[{${from('a@b.c')}}]}`).ok).toBe(false)
    expect(scan('batch', `{"requests":[{${from('a@b.c')}},{${member}}]}`).ok).toBe(false)
  })

  test.each([
    '"text":"a\\r\\nb\\u0000","html":"<p>\\n</p>"',
    '"attachments":[{"filename":"a","content":"QQ==\\r\\nQQ==","type":null}]',
    '"headers":{"X-A":"1","X-A":"2","Reply-To":"a@b.c","X":null,"Y":7}',
    '"headers":null,"to":null,"attachments":[],"subject":null',
    '"custom_variables":{"a":"\\n","headers":{"From":"a"}}',
    '"template_variables":{"from":[{"Email":"x"}],"__proto__":1}',
    '"SomeKey":"x","template_uuid":"x"',
  ])('%s is accepted', (member) => {
    expect(scan('send', `{${from('a@b.c')},${member}}`)).toEqual(accepted('a@b.c'))
    expect(scan('send', `{${member},${from('a@b.c')}}`, 1)).toEqual(accepted('a@b.c'))
  })
})

test('fifty megabytes of attachment are passed over without being kept', () => {
  const scanner = createSenderScanner('send')
  const piece = Buffer.alloc(64 * 1024, 'QUJD')
  scanner.write(Buffer.from(`{${from('a@b.c')},"attachments":[{"content":"`))
  const before = heldBytes()
  for (let sent = 0; sent < 50 * 1024 * 1024; sent += piece.length) scanner.write(piece)
  expect(heldBytes() - before).toBeLessThan(1024 * 1024)
  scanner.write(Buffer.from('"}]}'))
  expect(scanner.end()).toEqual(accepted('a@b.c'))
})

test('a body that is already refused is not read any further', () => {
  const scanner = createSenderScanner('send')
  expect(scanner.write(Buffer.from(' '))).toBe(true)
  expect(scanner.write(Buffer.from('[1,'))).toBe(false)
  scanner.write(Buffer.from(`{${from('a@b.c')}}`))
  expect(scanner.end()).toEqual({ ok: false, problems: [{ text: 'The body is not an object' }] })
})
