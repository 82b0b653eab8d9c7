import { createLowByteSearch, type LowByteSearch } from './low-bytes.ts'
import { createUtf8Check, type Utf8Check } from './utf8.ts'

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

export interface JsonVisitor<T> {
  open(target: T, container: 'object' | 'array'): void
  close(target: T): void
  /** A string begins: how many bytes of it, quotes excluded and escapes as written, are worth keeping? */
  keep(target: T, isKey: boolean): number
  key(target: T, text: JsonText): void
  string(target: T, text: JsonText): void
  /** A number, `true`, `false` or `null`. */
  scalar(target: T, isNull: boolean): void
  /** The keys that most texts have: to recognize one is cheaper than to make a string of its bytes, and to hash that. */
  readonly commonKeys?: KeysByLength
}

export type KeysByLength = ReadonlyMap<number, readonly string[]>

/** For keys in ASCII that are the same written as decoded. */
export function keysByLength(keys: readonly string[]): KeysByLength {
  return Map.groupBy(keys, ({ length }) => length)
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
const shortRun = 192
/** To begin a search costs as much as looking at a few hundred bytes: with fewer left in the piece it does not pay. */
const worthSearching = 512

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
const nothing = Buffer.alloc(0)
const noKeys: readonly string[] = []

/** An open object or array. A chain of them, since V8 makes room for seventeen as the first is put into an array. */
interface Container {
  readonly kind: 'object' | 'array'
  readonly depth: number
  readonly around: Container | undefined
}

/** What a machine knows between two pieces: one object for each text, since many are read at once. */
interface Machine<T = unknown> {
  readonly visitor: JsonVisitor<T>
  readonly target: T
  readonly utf8: Utf8Check
  /** What is open around the current place. */
  around: Container | undefined
  state: State
  started: boolean

  piece: Buffer
  /** What is looked for again and again in one piece: each of its bytes once for each thing. */
  controls: LowByteSearch | undefined
  nextQuote: number
  nextBackslash: number

  isKey: boolean
  /** Where the text of the string begins in the piece; what earlier pieces had of it, a character for a byte. */
  textStart: number
  carried: string
  carriedBytes: number
  keepLimit: number
  hasEscape: boolean
  hasLineBreak: boolean
  /** Of the code unit that an escape spells: what its digits say so far, and how many are missing. */
  codeUnit: number
  digitsLeft: number
  literal: string
  literalRead: number
}

/** `target` is handed to the visitor each time. */
export function createJsonMachine<T>(visitor: JsonVisitor<T>, target: T): JsonMachine {
  const machine: Machine<T> = {
    visitor,
    target,
    utf8: createUtf8Check(),
    around: undefined,
    state: 'value',
    started: false,
    piece: nothing,
    controls: undefined,
    nextQuote: -1,
    nextBackslash: -1,
    isKey: false,
    textStart: 0,
    carried: '',
    carriedBytes: 0,
    keepLimit: 0,
    hasEscape: false,
    hasLineBreak: false,
    codeUnit: 0,
    digitsLeft: 0,
    literal: '',
    literalRead: 0,
  }
  return { write: (chunk) => write(machine, chunk), end: () => end(machine) }
}

function write(m: Machine, chunk: Uint8Array) {
  m.piece = Buffer.isBuffer(chunk)
    ? chunk
    : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  const { length } = m.piece
  if (!m.started && length > 0) {
    m.started = true
    if (m.piece[0] === 0xef) throw new JsonProblem('The body begins with a byte-order mark')
  }
  if (!m.utf8.write(m.piece)) throw new JsonProblem('The body is not UTF-8')
  m.controls = undefined
  m.nextQuote = -1
  m.nextBackslash = -1
  m.textStart = 0
  let at = 0
  while (at < length) at = m.state === 'string' ? readString(m, at) : step(m, at)
  if (m.state === 'string' || m.state === 'escape' || m.state === 'hex') carry(m)
  m.piece = nothing
}

function end(m: Machine) {
  if (isNumberEnd(m.state)) endScalar(m, false)
  if (!m.started) throw new JsonProblem('The body is empty')
  if (m.state !== 'end' || !m.utf8.end()) throw new JsonProblem('The body is not complete JSON')
}

/** Takes one byte outside the plain part of a string, or what there is of a space or an escape; answers where to go on. */
function step(m: Machine, at: number): number {
  const byte = m.piece[at] ?? 0
  switch (m.state) {
    case 'escape':
    case 'hex':
      return readEscape(m, at)
    case 'literal':
      if (byte !== m.literal.charCodeAt(m.literalRead)) throw unexpected(byte)
      m.literalRead++
      if (m.literalRead === m.literal.length) endScalar(m, m.literal === 'null')
      return at + 1
    case 'string':
    case 'value':
    case 'first-item':
    case 'first-key':
    case 'key':
    case 'colon':
    case 'after-value':
    case 'end':
      if (isSpace(byte)) return spaceEnd(m.piece, at)
      readStructure(m, byte, at)
      return at + 1
    default: {
      const next = nextInNumber(m.state, byte)
      if (next !== undefined) {
        m.state = next
        return at + 1
      }
      if (!isNumberEnd(m.state)) throw unexpected(byte)
      endScalar(m, false)
      return at
    }
  }
}

/** Texts for people to read have long runs of it. */
function spaceEnd(piece: Buffer, from: number): number {
  let at = from
  while (at < piece.length && isSpace(piece[at] ?? 0)) at++
  return at
}

function readStructure(m: Machine, byte: number, at: number) {
  switch (m.state) {
    case 'first-item':
      if (byte === 0x5d) return closeContainer(m, 'array')
      return beginValue(m, byte, at)
    case 'value':
      return beginValue(m, byte, at)
    case 'first-key':
      if (byte === 0x7d) return closeContainer(m, 'object')
      return beginKey(m, byte, at)
    case 'key':
      return beginKey(m, byte, at)
    case 'colon':
      if (byte !== 0x3a) throw unexpected(byte)
      m.state = 'value'
      return
    case 'after-value': {
      if (byte === 0x2c) m.state = m.around?.kind === 'object' ? 'key' : 'value'
      else if (byte === 0x7d) closeContainer(m, 'object')
      else if (byte === 0x5d) closeContainer(m, 'array')
      else throw unexpected(byte)
      return
    }
    default:
      throw new JsonProblem('The body goes on after its end')
  }
}

function beginValue(m: Machine, byte: number, at: number) {
  switch (byte) {
    case 0x7b:
      return openContainer(m, 'object', 'first-key')
    case 0x5b:
      return openContainer(m, 'array', 'first-item')
    case quote:
      return beginString(m, false, at + 1)
    case 0x74:
      return beginLiteral(m, 'true')
    case 0x66:
      return beginLiteral(m, 'false')
    case 0x6e:
      return beginLiteral(m, 'null')
    case 0x2d:
      m.state = 'minus'
      return
    case 0x30:
      m.state = 'zero'
      return
    default:
      if (!isDigit(byte)) throw unexpected(byte)
      m.state = 'integer'
  }
}

function beginKey(m: Machine, byte: number, at: number) {
  if (byte !== quote) throw unexpected(byte)
  beginString(m, true, at + 1)
}

function openContainer(m: Machine, kind: Container['kind'], next: State) {
  const { around } = m
  const depth = (around?.depth ?? 0) + 1
  if (depth > maxDepth) {
    throw new JsonProblem(`The body is nested deeper than ${maxDepth} levels`)
  }
  m.around = { kind, depth, around }
  m.state = next
  m.visitor.open(m.target, kind)
}

function closeContainer(m: Machine, kind: Container['kind']) {
  if (m.around?.kind !== kind)
    throw new JsonProblem('The body is not JSON: brackets that do not match')
  m.around = m.around.around
  m.visitor.close(m.target)
  endValue(m)
}

function endValue(m: Machine) {
  m.state = m.around === undefined ? 'end' : 'after-value'
}

function beginLiteral(m: Machine, word: string) {
  m.literal = word
  m.literalRead = 1
  m.state = 'literal'
}

function endScalar(m: Machine, isNull: boolean) {
  endValue(m)
  m.visitor.scalar(m.target, isNull)
}

function beginString(m: Machine, key: boolean, start: number) {
  m.isKey = key
  m.textStart = start
  m.carried = ''
  m.carriedBytes = 0
  m.hasEscape = false
  m.hasLineBreak = false
  m.keepLimit = m.visitor.keep(m.target, key)
  m.state = 'string'
}

/** Reads on to the closing quote, or the end of the piece. */
function readString(m: Machine, from: number): number {
  let at = plainRunEnd(m, from)
  while (m.piece[at] === backslash) {
    at = openEscape(m, at + 1)
    if (m.state !== 'string') return at
    at = plainRunEnd(m, at)
  }
  if (m.piece[at] !== quote) return at
  endString(m, at)
  return at + 1
}

/** How far characters go that need no care: to a quote, a backslash, or the end of the piece. */
function plainRunEnd(m: Machine, from: number): number {
  const { piece } = m
  const { length } = piece
  const lookEnd = length - from < worthSearching ? length : from + shortRun
  for (let at = from; at < lookEnd; at++) {
    const byte = piece[at] ?? 0
    if (byte === quote || byte === backslash) return at
    // RFC 8259 §7: control characters must be escaped.
    if (byte < 0x20) throw unexpected(byte)
  }
  return lookEnd === length ? length : searchPlainRunEnd(m, lookEnd)
}

function searchPlainRunEnd(m: Machine, from: number): number {
  const { piece } = m
  if (m.nextQuote < from) m.nextQuote = indexOrEnd(piece, quote, from)
  if (m.nextBackslash < from) m.nextBackslash = indexOrEnd(piece, backslash, from)
  const end = Math.min(m.nextQuote, m.nextBackslash)
  m.controls ??= createLowByteSearch(piece, 0x20)
  const control = m.controls(from, end)
  if (control < end) throw unexpected(piece[control] ?? 0)
  return end
}

function openEscape(m: Machine, from: number): number {
  m.hasEscape = true
  m.state = 'escape'
  return readEscape(m, from)
}

/** Reads on within an escape, behind its backslash, to its end or that of the piece. */
function readEscape(m: Machine, from: number): number {
  const { piece } = m
  const { length } = piece
  let at = from
  if (m.state === 'escape' && at < length) beginEscape(m, piece[at++] ?? 0)
  while (m.state === 'hex' && at < length) readHex(m, piece[at++] ?? 0)
  return at
}

function beginEscape(m: Machine, byte: number) {
  switch (byte) {
    case 0x75: // u
      m.codeUnit = 0
      m.digitsLeft = 4
      m.state = 'hex'
      return
    case 0x6e: // n
    case 0x72: // r
      m.hasLineBreak = true
      break
    case quote:
    case backslash:
    case 0x2f: // /
    case 0x62: // b
    case 0x66: // f
    case 0x74: // t
      break
    default:
      throw unexpected(byte)
  }
  m.state = 'string'
}

function readHex(m: Machine, byte: number) {
  const digit = hexDigit(byte)
  if (digit === undefined) throw unexpected(byte)
  m.codeUnit = m.codeUnit * 16 + digit
  m.digitsLeft--
  if (m.digitsLeft > 0) return
  if (m.codeUnit === 0x00 || m.codeUnit === 0x0a || m.codeUnit === 0x0d) m.hasLineBreak = true
  m.state = 'string'
}

/** Keeps what the piece has of a string that goes on in the next one: a copy, since the piece is large and not ours. */
function carry(m: Machine) {
  m.carriedBytes += m.piece.length - m.textStart
  m.carried =
    m.carriedBytes <= m.keepLimit ? m.carried + m.piece.toString('latin1', m.textStart) : ''
}

function endString(m: Machine, at: number) {
  const isKept = m.carriedBytes + at - m.textStart <= m.keepLimit
  const text = { value: isKept ? textUntil(m, at) : undefined, hasLineBreak: m.hasLineBreak }
  if (m.isKey) {
    m.state = 'colon'
    m.visitor.key(m.target, text)
  } else {
    endValue(m)
    m.visitor.string(m.target, text)
  }
}

function textUntil(m: Machine, end: number): string {
  const common = m.isKey && m.carriedBytes === 0 ? commonKeyUntil(m, end) : undefined
  if (common !== undefined) return common
  const written =
    m.carriedBytes === 0
      ? m.piece.toString('utf8', m.textStart, end)
      : Buffer.from(m.carried + m.piece.toString('latin1', m.textStart, end), 'latin1').toString()
  // The machine has checked the grammar, so that this cannot throw.
  return m.hasEscape ? JSON.parse(`"${written}"`) : written
}

function commonKeyUntil({ visitor, piece, textStart }: Machine, end: number): string | undefined {
  const sameLength = visitor.commonKeys?.get(end - textStart) ?? noKeys
  for (const key of sameLength) if (standsAt(piece, textStart, key)) return key
  return undefined
}

function standsAt(piece: Buffer, at: number, key: string): boolean {
  for (let i = 0; i < key.length; i++) {
    if (piece[at + i] !== key.charCodeAt(i)) return false
  }
  return true
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

function hexDigit(byte: number): number | undefined {
  if (isDigit(byte)) return byte - 0x30
  // Letters differ in one bit from those of the other case.
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : undefined
}

function unexpected(byte: number): JsonProblem {
  const shown =
    byte > 0x20 && byte < 0x7f
      ? `'${String.fromCharCode(byte)}'`
      : `byte 0x${byte.toString(16).padStart(2, '0')}`
  return new JsonProblem(`The body is not JSON: unexpected ${shown}`)
}
