import { describe, expect, test } from 'vitest'
import {
  createJsonMachine,
  JsonProblem,
  type JsonVisitor,
  maxDepth,
} from '../../src/core/json-machine.ts'

/** What the machine saw, flat: enough to tell two readings apart. */
function read(pieces: readonly Uint8Array[], keep = 10_000): unknown[] {
  const seen: unknown[] = []
  const visitor: JsonVisitor<unknown[]> = {
    open: (into, container) => into.push(container),
    close: (into) => into.push('close'),
    keep: () => keep,
    key: (into, { value, hasLineBreak }) => into.push({ key: value, hasLineBreak }),
    string: (into, { value, hasLineBreak }) => into.push({ string: value, hasLineBreak }),
    scalar: (into, isNull) => into.push(isNull),
  }
  const machine = createJsonMachine(visitor, seen)
  for (const piece of pieces) machine.write(piece)
  machine.end()
  return seen
}

function accepts(pieces: readonly Uint8Array[]): boolean {
  try {
    read(pieces)
    return true
  } catch (error) {
    if (error instanceof JsonProblem) return false
    throw error
  }
}

/** The same reading, from a parsed value. */
function walk(value: unknown): unknown[] {
  if (typeof value === 'string') return [{ string: value, hasLineBreak: /[\r\n\0]/.test(value) }]
  if (typeof value !== 'object' || value === null) return [value === null]
  if (Array.isArray(value)) return ['array', ...value.flatMap(walk), 'close']
  const members = Object.entries(value).flatMap(([key, member]) => [
    { key, hasLineBreak: /[\r\n\0]/.test(key) },
    ...walk(member),
  ])
  return ['object', ...members, 'close']
}

function jsonParses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('the machine reads what JSON.parse reads', () => {
  test.each([
    '0',
    '-0',
    '-',
    '01',
    '1.',
    '.5',
    '1e',
    '1e+',
    '1E-7',
    '-1.5e+10',
    '1.5.5',
    '+1',
    '0x1',
    '1_0',
    'NaN',
    'Infinity',
    'true',
    'tru',
    'truex',
    'null ',
    ' null',
    'nul',
    '""',
    '"',
    '"\\',
    '"\\"',
    '"\\u12"',
    '"\\u12g4"',
    '"\\x41"',
    '"\\u0041"',
    '"\t"',
    '"\x7f"',
    "'a'",
    '[]',
    '[,]',
    '[1,]',
    '[1 2]',
    '[1]]',
    '[1}',
    '{}',
    '{,}',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{"a":1 "b":2}',
    '{a:1}',
    '{"a"::1}',
    '[1]x',
    '1 1',
    '// x\n1',
    '1/*x*/',
    '\u00a01',
    '\ufeff1',
    '',
    ' ',
  ])('%j', (text) => {
    const pieces = [...Buffer.from(text)].map((byte) => Buffer.of(byte))
    expect(accepts([Buffer.from(text)])).toBe(jsonParses(text))
    expect(accepts(pieces)).toBe(jsonParses(text))
  })
})

describe('the machine is stricter where readers differ', () => {
  test('a byte-order mark is named', () => {
    expect(() => read([Buffer.from('\ufeff{}')])).toThrow('byte-order mark')
  })

  test.each([
    ['a lone continuation byte', [0x80]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a code point beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
    ['half a character', [0xe2, 0x82]],
    ['a byte that UTF-8 lacks', [0xff]],
  ])('invalid UTF-8 is refused wherever it is cut: %s', (_name, bad) => {
    const bytes = Buffer.concat([Buffer.from('{"a":"b'), Buffer.from(bad), Buffer.from('c"}')])
    for (let at = 0; at <= bytes.length; at++) {
      expect(accepts([bytes.subarray(0, at), bytes.subarray(at)])).toBe(false)
    }
  })

  test('characters of every length survive every cut', () => {
    const text = JSON.stringify({ 'k🚪': 'aé€🚪z' })
    const bytes = Buffer.from(text)
    for (let at = 0; at <= bytes.length; at++) {
      expect(read([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(walk(JSON.parse(text)))
    }
  })

  test('nesting is bounded', () => {
    const nested = (depth: number) => [Buffer.from('['.repeat(depth) + ']'.repeat(depth))]
    expect(accepts(nested(maxDepth))).toBe(true)
    expect(accepts(nested(maxDepth + 1))).toBe(false)
  })
})

describe('long strings', () => {
  test('a control character is found at every place of a long string', () => {
    for (let at = 0; at < 200; at++) {
      const text = Buffer.from(`"${'A'.repeat(200)}"`)
      text[at + 1] = 0x1f
      expect(accepts([text])).toBe(false)
      text[at + 1] = 0x20
      expect(accepts([text])).toBe(true)
    }
  })

  test('what is longer than wanted is not kept', () => {
    expect(read([Buffer.from('"12345"')], 5)).toEqual([{ string: '12345', hasLineBreak: false }])
    expect(read([Buffer.from('"123456"')], 5)).toEqual([{ string: undefined, hasLineBreak: false }])
  })

  test('a line break in the part that is not kept is still seen', () => {
    for (const written of ['\\n', '\\r', '\\u000a', '\\u000D', '\\u0000']) {
      const text = `"${'x'.repeat(20_000)}${written}"`
      expect(read([Buffer.from(text)], 5)).toEqual([{ string: undefined, hasLineBreak: true }])
    }
  })
})
