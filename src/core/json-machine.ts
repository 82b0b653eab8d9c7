import { createLowByteSearch, type LowByteSearch } from './low-bytes.ts'
import { createUtf8Check } from './utf8.ts'

/**
 * A strict JSON reader (RFC 8259) for bytes that arrive in pieces. It never builds a value: it tells a visitor what
 * begins and ends, keeps only the text that the visitor asks for, and passes over long strings at the speed of `indexOf`.
 *
 * It accepts what `JSON.parse` accepts, less what two readers could take differently: a byte-order mark, invalid UTF-8,
 * nesting deeper than `maxDepth`.
 */
export interface JsonMachine {
  /** Throws `JsonProblem` at the first byte that is wrong. */
  write(chunk: Uint8Array): void
  /** Throws `JsonProblem` if the text is not complete. */
  end(): void
}

export interface JsonVisitor {
  open(container: 'object' | 'array'): void
  close(): void
  /** A string begins: how many bytes of it, quotes excluded and escapes as written, are worth keeping? */
  keep(isKey: boolean): number
  key(text: JsonText): void
  string(text: JsonText): void
  /** A number, `true`, `false` or `null`. */
  scalar(isNull: boolean): void
}

export interface JsonText {
  /** Decoded; undefined when it was longer than the visitor wanted to keep. */
  readonly value: string | undefined
  /** It holds CR, LF or NUL, which can only come as an escape. */
  readonly hasLineBreak: boolean
}

/** Bytes that are no JSON, or none that every reader would read alike. */
export class JsonProblem extends Error {}

export const maxDepth = 64
/** A string this long is probably much longer: from here on `indexOf` beats looking at each byte. */
const shortRun = 1024

/** Where the machine is between two bytes. */
type State =
  | 'value'
  | 'first-item'
  | 'first-key'
  | 'key'
  | 'colon'
  | 'after-value'
  | 'string'
  | 'escape'
  | 'hex'
  | 'literal'
  | 'minus'
  | 'zero'
  | 'integer'
  | 'point'
  | 'fraction'
  | 'exponent'
  | 'exponent-sign'
  | 'exponent-digits'
  | 'end'

const quote = 0x22
const backslash = 0x5c
const escapes = new Set(Buffer.from('"\\/bfnrt'))
const lineBreakEscapes = new Set(Buffer.from('nr'))
const lineBreaks = new Set([0x00, 0x0a, 0x0d])
const nothing = Buffer.alloc(0)

export function createJsonMachine(visitor: JsonVisitor): JsonMachine {
  const utf8 = createUtf8Check()
  /** What is open around the current place, outermost first. */
  const open: ('object' | 'array')[] = []
  let state: State = 'value'
  let started = false

  let piece: Buffer = nothing
  /** What is looked for again and again in one piece: each of its bytes once for each thing. */
  let controls: LowByteSearch | undefined
  let nextQuote = -1
  let nextBackslash = -1

  let isKey = false
  /** Where the text of the string begins in the piece; what earlier pieces had of it, a character for a byte. */
  let textStart = 0
  let carried = ''
  let carriedBytes = 0
  let keepLimit = 0
  let hasEscape = false
  let hasLineBreak = false
  let hexDigits = ''
  let literal = ''
  let literalRead = 0

  function write(chunk: Uint8Array) {
    piece = Buffer.isBuffer(chunk)
      ? chunk
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const { length } = piece
    if (!started && length > 0) {
      started = true
      if (piece[0] === 0xef) throw new JsonProblem('The body begins with a byte-order mark')
    }
    if (!utf8.write(piece)) throw new JsonProblem('The body is not UTF-8')
    controls = undefined
    nextQuote = -1
    nextBackslash = -1
    textStart = 0
    let at = 0
    while (at < length) at = state === 'string' ? readString(at) : step(at)
    if (state === 'string' || state === 'escape' || state === 'hex') carry()
  }

  function end() {
    if (isNumberEnd(state)) endScalar(false)
    if (!started) throw new JsonProblem('The body is empty')
    if (state !== 'end' || !utf8.end()) throw new JsonProblem('The body is not complete JSON')
  }

  /** Takes one byte outside the plain part of a string; answers where to go on. */
  function step(at: number): number {
    const byte = piece[at] ?? 0
    switch (state) {
      case 'escape':
        return readEscape(byte, at)
      case 'hex':
        return readHex(byte, at)
      case 'literal':
        if (byte !== literal.charCodeAt(literalRead)) throw unexpected(byte)
        literalRead++
        if (literalRead === literal.length) endScalar(literal === 'null')
        return at + 1
      case 'string':
      case 'value':
      case 'first-item':
      case 'first-key':
      case 'key':
      case 'colon':
      case 'after-value':
      case 'end':
        if (!isSpace(byte)) readStructure(byte, at)
        return at + 1
      default: {
        const next = nextInNumber(state, byte)
        if (next !== undefined) {
          state = next
          return at + 1
        }
        if (!isNumberEnd(state)) throw unexpected(byte)
        endScalar(false)
        return at
      }
    }
  }

  function readStructure(byte: number, at: number) {
    switch (state) {
      case 'first-item':
        if (byte === 0x5d) return closeContainer('array')
        return beginValue(byte, at)
      case 'value':
        return beginValue(byte, at)
      case 'first-key':
        if (byte === 0x7d) return closeContainer('object')
        return beginKey(byte, at)
      case 'key':
        return beginKey(byte, at)
      case 'colon':
        if (byte !== 0x3a) throw unexpected(byte)
        state = 'value'
        return
      case 'after-value': {
        const around = open.at(-1)
        if (byte === 0x2c) state = around === 'object' ? 'key' : 'value'
        else if (byte === 0x7d) closeContainer('object')
        else if (byte === 0x5d) closeContainer('array')
        else throw unexpected(byte)
        return
      }
      default:
        throw new JsonProblem('The body goes on after its end')
    }
  }

  function beginValue(byte: number, at: number) {
    switch (byte) {
      case 0x7b:
        return openContainer('object', 'first-key')
      case 0x5b:
        return openContainer('array', 'first-item')
      case quote:
        return beginString(false, at + 1)
      case 0x74:
        return beginLiteral('true')
      case 0x66:
        return beginLiteral('false')
      case 0x6e:
        return beginLiteral('null')
      case 0x2d:
        state = 'minus'
        return
      case 0x30:
        state = 'zero'
        return
      default:
        if (!isDigit(byte)) throw unexpected(byte)
        state = 'integer'
    }
  }

  function beginKey(byte: number, at: number) {
    if (byte !== quote) throw unexpected(byte)
    beginString(true, at + 1)
  }

  function openContainer(container: 'object' | 'array', next: State) {
    if (open.length === maxDepth) {
      throw new JsonProblem(`The body is nested deeper than ${maxDepth} levels`)
    }
    open.push(container)
    state = next
    visitor.open(container)
  }

  function closeContainer(container: 'object' | 'array') {
    if (open.pop() !== container)
      throw new JsonProblem('The body is not JSON: brackets that do not match')
    visitor.close()
    endValue()
  }

  function endValue() {
    state = open.length === 0 ? 'end' : 'after-value'
  }

  function beginLiteral(word: string) {
    literal = word
    literalRead = 1
    state = 'literal'
  }

  function endScalar(isNull: boolean) {
    endValue()
    visitor.scalar(isNull)
  }

  function beginString(key: boolean, start: number) {
    isKey = key
    textStart = start
    carried = ''
    carriedBytes = 0
    hasEscape = false
    hasLineBreak = false
    keepLimit = visitor.keep(key)
    state = 'string'
  }

  /** Reads on to the closing quote, the next escape, or the end of the piece. */
  function readString(from: number): number {
    const at = plainRunEnd(from)
    if (piece[at] === quote) {
      endString(at)
      return at + 1
    }
    if (piece[at] === backslash) {
      hasEscape = true
      state = 'escape'
      return at + 1
    }
    return at
  }

  /** How far characters go that need no care: to a quote, a backslash, or the end of the piece. */
  function plainRunEnd(from: number): number {
    const shortEnd = Math.min(from + shortRun, piece.length)
    for (let at = from; at < shortEnd; at++) {
      const byte = piece[at] ?? 0
      if (byte === quote || byte === backslash) return at
      if (byte < 0x20) throw unexpected(byte)
    }
    if (shortEnd === piece.length) return shortEnd
    if (nextQuote < shortEnd) nextQuote = indexOrEnd(piece, quote, shortEnd)
    if (nextBackslash < shortEnd) nextBackslash = indexOrEnd(piece, backslash, shortEnd)
    const end = Math.min(nextQuote, nextBackslash)
    controls ??= createLowByteSearch(piece, 0x20)
    const control = controls(shortEnd, end)
    // RFC 8259 §7: control characters must be escaped.
    if (control < end) throw unexpected(piece[control] ?? 0)
    return end
  }

  function readEscape(byte: number, at: number): number {
    if (byte === 0x75) {
      hexDigits = ''
      state = 'hex'
    } else {
      if (!escapes.has(byte)) throw unexpected(byte)
      if (lineBreakEscapes.has(byte)) hasLineBreak = true
      state = 'string'
    }
    return at + 1
  }

  function readHex(byte: number, at: number): number {
    if (!isHexDigit(byte)) throw unexpected(byte)
    hexDigits += String.fromCharCode(byte)
    if (hexDigits.length === 4) {
      if (lineBreaks.has(Number.parseInt(hexDigits, 16))) hasLineBreak = true
      state = 'string'
    }
    return at + 1
  }

  /** Keeps what the piece has of a string that goes on in the next one: a copy, since the piece is large and not ours. */
  function carry() {
    carriedBytes += piece.length - textStart
    carried = carriedBytes <= keepLimit ? carried + piece.toString('latin1', textStart) : ''
  }

  function endString(at: number) {
    const isKept = carriedBytes + at - textStart <= keepLimit
    const text = { value: isKept ? textUntil(at) : undefined, hasLineBreak }
    if (isKey) {
      state = 'colon'
      visitor.key(text)
    } else {
      endValue()
      visitor.string(text)
    }
  }

  function textUntil(end: number): string {
    const written =
      carriedBytes === 0
        ? piece.toString('utf8', textStart, end)
        : Buffer.from(carried + piece.toString('latin1', textStart, end), 'latin1').toString()
    // The machine has checked the grammar, so that this cannot throw.
    return hasEscape ? JSON.parse(`"${written}"`) : written
  }

  return { write, end }
}

/** Where the byte is first, from there on; where it is not, the end. */
function indexOrEnd(bytes: Buffer, byte: number, from: number): number {
  const at = bytes.indexOf(byte, from)
  return at < 0 ? bytes.length : at
}

function nextInNumber(state: State, byte: number): State | undefined {
  const digit = isDigit(byte)
  const exponent = byte === 0x65 || byte === 0x45
  switch (state) {
    case 'minus':
      if (byte === 0x30) return 'zero'
      return digit ? 'integer' : undefined
    case 'integer':
    case 'zero':
      if (digit && state === 'integer') return 'integer'
      if (byte === 0x2e) return 'point'
      return exponent ? 'exponent' : undefined
    case 'point':
      return digit ? 'fraction' : undefined
    case 'fraction':
      if (digit) return 'fraction'
      return exponent ? 'exponent' : undefined
    case 'exponent':
      if (byte === 0x2b || byte === 0x2d) return 'exponent-sign'
      return digit ? 'exponent-digits' : undefined
    case 'exponent-sign':
    case 'exponent-digits':
      return digit ? 'exponent-digits' : undefined
    default:
      return undefined
  }
}

function isNumberEnd(state: State): boolean {
  switch (state) {
    case 'zero':
    case 'integer':
    case 'fraction':
    case 'exponent-digits':
      return true
    default:
      return false
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

function isHexDigit(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66)
}

function unexpected(byte: number): JsonProblem {
  const shown =
    byte > 0x20 && byte < 0x7f
      ? `'${String.fromCharCode(byte)}'`
      : `byte 0x${byte.toString(16).padStart(2, '0')}`
  return new JsonProblem(`The body is not JSON: unexpected ${shown}`)
}
