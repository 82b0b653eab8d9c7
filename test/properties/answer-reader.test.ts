import fc from 'fast-check'
import { expect } from 'vitest'
import { tellAnswer } from '../helpers/told-answer.ts'
import { askUndici } from '../helpers/undici-answer.ts'
import { cut, guarantee, inTime, places } from './property.ts'

/** The bytes of any upstream, to the reader of its answers; and to undici's, which was there before. */

/** A character for a byte. */
const byte = fc.oneof(
  fc.constantFrom(...'\r\n\t\0 :;,\x0b\x7f\xa0\xff-+0aAxg"'),
  fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
)
const anyBytes = fc.array(byte, { maxLength: 30 }).map((list) => list.join(''))
const rarely = <T>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: usual }, { weight: 1, arbitrary: odd })

const lineEnd = rarely(
  fc.constant('\r\n'),
  fc.constantFrom('\n', '\r', '\r\r\n', '\n\r', '', ' \r\n'),
)
const version = rarely(
  fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'),
  fc.constantFrom(
    'HTTP/1.2',
    'HTTP/2',
    'http/1.1',
    'HTTP/0.9',
    'HTTP/01.1',
    'ICY',
    '',
    '\r\nHTTP/1.1',
  ),
)
const code = rarely(
  fc.constantFrom('200', '202', '204', '304', '400', '205', '500'),
  fc.oneof(
    fc.constantFrom(
      '100',
      '101',
      '102',
      '103',
      '199',
      '999',
      '099',
      '20',
      '2000',
      '-20',
      '+200',
      '',
    ),
    fc.integer({ min: 0, max: 1_100 }).map(String),
  ),
)
const reason = rarely(
  fc.constantFrom(' OK', ' ', '', ' Not here', ' \xfc', ' a\tb'),
  fc.constantFrom(' \0', '\tOK', ' a\x7f', '  OK', 'OK', ' \x1b'),
)
const statusLine = fc
  .tuple(version, rarely(fc.constant(' '), fc.constantFrom('', '\t', '  ')), code, reason)
  .map((parts) => parts.join(''))

const field = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...[
        'Content-Type: application/json',
        'X: y',
        'X: z',
        'x:',
        'Set-Cookie: a=b',
        '__proto__: x',
      ],
      ...['constructor: x', 'X: \xa0\xfc', 'x_y: \t a b \t', 'Date: yesterday', 'Trailer: X'],
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...[
        'Connection: close',
        'Connection: keep-alive',
        'Connection: x, close',
        'Connection: Close',
      ],
      ...['Keep-Alive: timeout=0', 'Keep-Alive: timeout=1', 'Keep-Alive: timeout=60', 'Upgrade: x'],
      ...[
        'Keep-Alive: timeout=x',
        'Connection: upgrade',
        'Connection: closed',
        'Connection: close,',
      ],
      ...['Proxy-Connection: close', 'Connection: keep-alive, close', 'Keep-Alive: max=1'],
    ),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...[
        'X : y',
        ' folded',
        '\tfolded',
        'no colon',
        ': x',
        'X: \0',
        'X: a\rb',
        'X: a\nY: b',
        'X\0: y',
      ],
      ...['Content-Length: 0', 'Content-Length: 3', 'Content-Length : 3', 'content-length:\t3'],
      ...[
        'Content-Length: 3, 3',
        'Content-Length: +3',
        'Content-Length: 0x3',
        'Content-Length: 03',
      ],
      ...['Content-Length:', 'Content-Length: -3', 'Content-Length: 18446744073709551619'],
      ...[
        'Transfer-Encoding: chunked',
        'Transfer-Encoding: gzip, chunked',
        'Transfer-Encoding: gzip',
      ],
      ...[
        'Transfer-Encoding: identity',
        'Transfer-Encoding:\x0bchunked',
        'Transfer-Encoding: CHUNKED',
      ],
      ...[
        'Transfer-Encoding : chunked',
        'Transfer-Encoding: chunked, identity',
        'Transfer-Encoding:',
      ],
      ...[
        'Content-Length: \xb3',
        'Content-Length: 3\x0b',
        'Content-Length: 3 3',
        `X: ${'y'.repeat(9_000)}`,
      ],
    ),
  },
)

const text = fc.oneof(
  fc.constantFrom('', 'abc', 'hello', '0\r\n\r\n', 'HTTP/1.1 500 x\r\n\r\n', '\r\n', '{"a":1}'),
  anyBytes,
)

/** The fields that say where the content ends, and the content. */
interface Framed {
  readonly fields: readonly string[]
  readonly content: string
}
const byLength: fc.Arbitrary<Framed> = fc
  .tuple(text, rarely(fc.constant(0), fc.constantFrom(-1, 1, 5, 1_000)))
  .map(([content, more]) => ({
    fields: [`Content-Length: ${Math.max(0, content.length + more)}`],
    content,
  }))
const chunk = fc
  .record({
    data: text,
    before: rarely(
      fc.constantFrom('', '0', '00'),
      fc.constantFrom('+', '-', ' ', '0x', '\n', '\t'),
    ),
    more: rarely(fc.constant(0), fc.constantFrom(-1, 1, 16)),
    behind: rarely(
      fc.constantFrom('', ';a', ';a=b', ';a="b c"', ';'),
      fc.constantFrom(
        ' ',
        ';\0',
        ';a\nb',
        ' ;a',
        'g',
        ';\xfc',
        ';a;b=c',
        ';a\r',
        '\n',
        ';=',
        ';a b',
      ),
    ),
    ...{ sizeEnd: lineEnd, dataEnd: lineEnd, isUpper: fc.boolean() },
  })
  .map(({ data, before, more, behind, sizeEnd, dataEnd, isUpper }) => {
    const size = Math.max(0, data.length + more).toString(16)
    return `${before}${isUpper ? size.toUpperCase() : size}${behind}${sizeEnd}${data}${dataEnd}`
  })
const inChunks: fc.Arbitrary<Framed> = fc
  .tuple(
    fc.array(chunk, { maxLength: 4 }),
    rarely(fc.constantFrom('0', '00', '0;x', '0;x=y'), fc.constantFrom('', '-0', '0x0', '0 ')),
    fc.array(field, { maxLength: 2 }),
    fc.tuple(lineEnd, lineEnd),
  )
  .map(([chunks, last, trailer, [lastEnd, end]]) => ({
    fields: ['Transfer-Encoding: chunked'],
    content: `${chunks.join('')}${last}${lastEnd}${trailer.map((one) => `${one}\r\n`).join('')}${end}`,
  }))
const unsaid: fc.Arbitrary<Framed> = text.map((content) => ({ fields: [], content }))
const framed = fc.oneof(
  { weight: 4, arbitrary: byLength },
  { weight: 6, arbitrary: inChunks },
  { weight: 1, arbitrary: unsaid },
)

const headLines = fc.tuple(statusLine, fc.array(field, { maxLength: 4 }))
const interim = fc
  .tuple(fc.constantFrom('100', '102', '103', '103'), fc.array(field, { maxLength: 1 }))
  .map(([status, fields]) => `${[`HTTP/1.1 ${status} x`, ...fields].join('\r\n')}\r\n\r\n`)

/** A slip: so many bytes left out there, and others in their place. */
interface Slip {
  readonly at: number
  readonly without: number
  readonly instead: string
}
const slip: fc.Arbitrary<Slip> = fc.record({
  at: fc.nat(400),
  without: fc.nat(2),
  instead: fc.oneof(byte, anyBytes),
})

const answer = fc
  .record({
    interims: rarely(fc.constant<string[]>([]), fc.array(interim, { maxLength: 3 })),
    lines: headLines,
    framed,
    end: lineEnd,
    extra: rarely(fc.constant(''), fc.constantFrom('\r\n', 'x', 'HTTP/1.1 200 OK\r\n\r\n', '\0')),
    slips: rarely(fc.constant<Slip[]>([]), fc.array(slip, { maxLength: 2 })),
    keeps: rarely(fc.constant(1_000_000), fc.nat(200)),
  })
  .map(({ interims, lines: [first, fields], framed: { fields: framing, content }, ...more }) => {
    const { end, extra, slips, keeps } = more
    let bytes = `${interims.join('')}${[first, ...fields, ...framing].join('\r\n')}\r\n${end}${content}${extra}`
    for (const { at, without, instead } of slips) {
      const place = at % (bytes.length + 1)
      bytes = bytes.slice(0, place) + instead + bytes.slice(place + without)
    }
    return bytes.slice(0, keeps)
  })

const method = fc.constantFrom('POST', 'POST', 'POST', 'GET', 'HEAD')
const input = fc.record({
  method,
  bytes: fc.oneof({ weight: 30, arbitrary: answer }, anyBytes),
  places,
})

guarantee(
  'however the bytes of an answer are cut, the same is told of it',
  { runs: 6_000, input: fc.record({ asked: input, closes: fc.boolean() }) },
  ({ asked, closes }) => {
    const bytes = Buffer.from(asked.bytes, 'latin1')
    const { problem, ...told } = tellAnswer([bytes], { method: asked.method, closes })
    const pieces = cut(bytes, asked.places)
    const { problem: other, ...cutUp } = tellAnswer(pieces, { method: asked.method, closes })
    expect(cutUp).toEqual(told)
    // Which of two is seen first may depend on it.
    expect(other === undefined).toBe(problem === undefined)
  },
)

/** The interim answers before the final one. */
function interimsOf(bytes: string): string {
  return /^(?:HTTP\/1\.[01] 1\d\d[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)*/.exec(bytes)?.[0] ?? ''
}

/** RFC 9110 §15.2: undici gives up where 100 comes unasked, and we read on. */
function withoutContinue(bytes: string): string {
  const interims = interimsOf(bytes)
  const others = interims.replace(/HTTP\/1\.[01] 100[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n/g, '')
  return others + bytes.slice(interims.length)
}

/** RFC 9112 §5: it is no part of a value. undici leaves tabs at its end, and gives up at one behind a length. */
const withoutOws = (value: string) => value.replace(/^[\t ]+|[\t ]+$/g, '')
const withoutOwsBehindLength = (bytes: string) =>
  bytes.replace(/^(content-length:[\t ]*\d+)[\t ]+(?=\r$)/gim, '$1')

/** RFC 9110 §6.5.1: a field there says nothing of the content. We drop it, and undici gives up. */
const framingInTrailer =
  /\r\n0+(?:;[^\r\n]*)?\r\n(?:[^\r\n]+\r\n)*?(?:content-length|transfer-encoding):/i

guarantee(
  'an answer that is taken for whole is to undici the same: its status, its fields, its content',
  { runs: 10_000, input },
  async (asked) => {
    const bytes = Buffer.from(asked.bytes, 'latin1')
    const told = tellAnswer([bytes], { method: asked.method, closes: true })
    if (!told.isWhole || framingInTrailer.test(asked.bytes)) return
    const pieces = cut(
      Buffer.from(withoutOwsBehindLength(withoutContinue(asked.bytes)), 'latin1'),
      asked.places.slice(0, 4),
    )
    const theirs = await inTime(askUndici(asked.method, pieces), 'undici')
    const { status, content, isWhole } = theirs
    expect({ status, content, isWhole }).toEqual({
      status: told.status,
      content: told.content,
      isWhole: true,
    })
    const fields = Object.entries(theirs.fields).flatMap(([name, value]) =>
      [value].flat().map((one) => `${name}: ${withoutOws(one)}`),
    )
    expect(fields.sort()).toEqual([...told.fields].sort())
    // And another request goes out behind it only where one would have.
    // How long that is kept, the final one says; to undici, any.
    if (told.reusableSeconds > 2 && !/^keep-alive:/im.test(interimsOf(asked.bytes))) {
      expect(theirs.isKept).toBe(true)
    }
  },
)
