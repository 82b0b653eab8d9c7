import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createJsonMachine, JsonProblem, maxDepth } from '../../src/core/json-machine.ts'
import { createSenderScanner } from '../../src/core/sender-scanner.ts'
import { change, changes, jsonText } from './json-text.ts'
import { cut, guarantee, places } from './property.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
/** The machine does not say which scalar it read. */
const someScalar = 'a scalar'

/** The value that the machine reads, or undefined when it refuses the text. */
function readByMachine(pieces: readonly Buffer[]): { value: unknown } | undefined {
  const root: unknown[] = []
  const open: { into: unknown[] | Map<string, unknown>; key: string }[] = [{ into: root, key: '' }]
  function put(value: unknown) {
    const { into, key } = open.at(-1) ?? { into: root, key: '' }
    if (Array.isArray(into)) into.push(value)
    else into.set(key.replaceAll('\\', forBackslash), value)
  }
  const machine = createJsonMachine<typeof open>(
    {
      open(within, container) {
        const into = container === 'array' ? [] : new Map<string, unknown>()
        put(into)
        within.push({ into, key: '' })
      },
      close: (within) => void within.pop(),
      keep: () => Infinity,
      key(within, { value = '', hasLineBreak }) {
        expect(hasLineBreak).toBe(/[\r\n\0]/.test(value))
        const top = within.at(-1)
        if (top !== undefined) top.key = value
      },
      string(_within, { value = '', hasLineBreak }) {
        expect(hasLineBreak).toBe(/[\r\n\0]/.test(value))
        put({ text: value.replaceAll('\\', forBackslash) })
      },
      scalar: (_within, isNull) => put(isNull ? null : someScalar),
    },
    open,
  )
  try {
    for (const piece of pieces) machine.write(piece)
    machine.end()
    return { value: inOrder(root[0]) }
  } catch (error) {
    if (error instanceof JsonProblem) return undefined
    throw error
  }
}

/**
 * V8 14.6 (Node 26.10) may take a key with an escape for an earlier one that holds a backslash: after `{"x":1,"\\u00":1}` it
 * reads the second key of `{"x":1,"\u0066rom":1}` as `\u00`. So it sees no key with a backslash, but this letter instead.
 */
const forBackslash = '\ue000'

function withoutBackslashes(text: string): string {
  return text.replace(/\\(u005[cC]|[\s\S])/g, (written, of: string) =>
    of === '\\' || of.length > 1 ? forBackslash : written,
  )
}

/** The same from JSON.parse. */
function readByParse(bytes: Buffer): { value: unknown } | undefined {
  try {
    const parsed: unknown = JSON.parse(withoutBackslashes(utf8.decode(bytes)))
    return depthOf(parsed) > maxDepth ? undefined : { value: inOrder(asMachineSays(parsed)) }
  } catch {
    return undefined
  }
}

function asMachineSays(value: unknown): unknown {
  if (typeof value === 'string') return { text: value.replaceAll('\\', forBackslash) }
  if (value === null) return null
  if (typeof value !== 'object') return someScalar
  if (Array.isArray(value)) return value.map(asMachineSays)
  return new Map(Object.entries(value).map(([key, one]) => [key, asMachineSays(one)]))
}

/** Members as a list: their order means nothing, and `__proto__` is a key as any other. */
function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder)
  if (!(value instanceof Map)) return value
  const members = [...value].map(([key, one]) => [key, inOrder(one)] as const)
  return { members: members.sort(([a], [b]) => (a < b ? -1 : 1)) }
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Object.values(value).reduce((depth, one) => Math.max(depth, depthOf(one)), 0)
}

guarantee(
  'a text is read as JSON.parse reads it, or refused where it refuses it, however its bytes are cut',
  { runs: 6_000, input: fc.record({ text: jsonText, changes, places }) },
  ({ text, changes: list, places: at }) => {
    const bytes = change(Buffer.from(text), list)
    const expected = readByParse(bytes)
    expect(readByMachine([bytes])).toEqual(expected)
    expect(readByMachine(cut(bytes, at))).toEqual(expected)
  },
)

describe('the published test vectors of JSONTestSuite', () => {
  type Vector = string | { hex: string } | { repeat: string; times: number; then?: string }
  const file = JSON.parse(readFileSync('test/properties/json-vectors.json', 'utf8'))
  const vectors = Object.entries<Vector>(file.vectors).map(([name, vector]) => {
    return [name, vectorBytes(vector)] as const
  })

  function vectorBytes(vector: Vector): Buffer {
    if (typeof vector === 'string') return Buffer.from(vector)
    if ('hex' in vector) return Buffer.from(vector.hex, 'hex')
    return Buffer.from(vector.repeat.repeat(vector.times) + (vector.then ?? ''))
  }

  function scan(pieces: readonly Buffer[]) {
    const scanner = createSenderScanner('send')
    for (const piece of pieces) scanner.write(piece)
    return scanner.end()
  }

  test('are all there', () => {
    expect(vectors).toHaveLength(318)
  })

  test.each(vectors)('%s', (name, bytes) => {
    // Bytes one by one, but for the two texts that are only long.
    const single = bytes.length > 1_000 ? [bytes] : [...bytes].map((byte) => Buffer.of(byte))
    const expected = readByParse(bytes)
    if (name.startsWith('y_')) expect(expected).toBeDefined()
    if (name.startsWith('n_')) expect(expected).toBeUndefined()
    expect(readByMachine([bytes])).toEqual(expected)
    expect(readByMachine(single)).toEqual(expected)

    // And as a part of a message, where nobody looks at its value.
    const around = [Buffer.from('{"from":{"email":"a@b.c"},"text":'), Buffer.from('}')] as const
    const message = [around[0], ...single, around[1]]
    const isMessage = readByParse(Buffer.concat(message)) !== undefined
    expect(scan(message)).toMatchObject({ ok: isMessage })
    if (name.startsWith('y_')) expect(scan(message)).toEqual({ ok: true, senders: ['a@b.c'] })
  })
})
