import fc from 'fast-check'

/** JSON texts in every spelling that the grammar allows (RFC 8259), keys that come twice included. */

const space = fc.constantFrom('', '', '', ' ', '\n', '\t\r\n ')
const scalar = fc.constantFrom(
  ...['null', 'true', 'false', '0', '-0', '7', '-12', '1.50', '1e5', '2E+07', '-3.1e-2'],
  '123456789012345678901234567890',
)
const character = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }).map((text) => escaped(text)),
  fc.constantFrom('\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t', '\x7f', '\u2028'),
  fc.nat(0xffff).map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`),
)

function escaped(text: string): string {
  return text.isWellFormed() ? JSON.stringify(text).slice(1, -1) : '?'
}

/** Long plain runs take another way through the machine than short ones. */
const plainRun = fc
  .tuple(fc.constantFrom(40, 47, 48, 49, 60, 8_191, 8_240, 20_000), fc.constantFrom('x', 'é', '🚪'))
  .map(([length, letter]) => letter.repeat(length))

/** The inside of a string as written. */
export const written = fc
  .array(fc.oneof({ weight: 30, arbitrary: character }, { weight: 1, arbitrary: plainRun }), {
    maxLength: 8,
  })
  .map((pieces) => pieces.join(''))

export const jsonText = fc.letrec<{ value: string; array: string; object: string }>((tie) => {
  const string = written.map((text) => `"${text}"`)
  const spaced = fc.tuple(space, tie('value'), space).map((parts) => parts.join(''))
  const member = fc
    .tuple(space, fc.oneof(string, fc.constantFrom('"a"', '"b"', '"__proto__"')), space, spaced)
    .map(([before, key, after, value]) => `${before}${key}${after}:${value}`)
  const list = (item: fc.Arbitrary<string>, open: string, close: string) =>
    fc
      .oneof(
        space,
        fc.array(item, { minLength: 1, maxLength: 5 }).map((items) => items.join(',')),
      )
      .map((inside) => open + inside + close)
  return {
    value: fc.oneof(
      { maxDepth: 5, depthSize: 'small' },
      scalar,
      string,
      tie('array'),
      tie('object'),
    ),
    array: list(spaced, '[', ']'),
    object: list(member, '{', '}'),
  }
}).value

/** A byte put in, or over another, or one taken out. */
export const changes = fc.array(
  fc.tuple(
    fc.nat(100_000),
    fc.oneof(
      fc.constantFrom(...'{}[]":,\\/ \t\n\r0123456789.eE+-truefalsnu').map((c) => c.charCodeAt(0)),
      fc.nat(255),
      fc.constant(-1),
    ),
    fc.constantFrom(0, 1),
  ),
  { maxLength: 3 },
)

export function change(
  bytes: Buffer,
  list: readonly (readonly [at: number, byte: number, removed: number])[],
): Buffer {
  let changed = bytes
  for (const [place, byte, removed] of list) {
    const at = place % (changed.length + 1)
    const put = byte < 0 ? Buffer.alloc(0) : Buffer.of(byte)
    changed = Buffer.concat([changed.subarray(0, at), put, changed.subarray(at + removed)])
  }
  return changed
}
