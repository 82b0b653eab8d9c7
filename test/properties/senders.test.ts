import fc from 'fast-check'
import { expect } from 'vitest'
import { createSenderScanner, type SendKind } from '../../src/core/sender-scanner.ts'
import { cut, guarantee, places } from './property.ts'

/** A JSON text as a tree, in which a key may come twice, and every key and string is as written between its quotes. */
type Tree =
  | { readonly type: 'object'; readonly members: readonly (readonly [key: string, value: Tree])[] }
  | { readonly type: 'array'; readonly items: readonly Tree[] }
  | { readonly type: 'string'; readonly written: string }
  | { readonly type: 'scalar'; readonly written: string }

function write(tree: Tree): string {
  switch (tree.type) {
    case 'object':
      return `{${tree.members.map(([key, value]) => `"${key}":${write(value)}`).join(',')}}`
    case 'array':
      return `[${tree.items.map(write).join(',')}]`
    case 'string':
      return `"${tree.written}"`
    case 'scalar':
      return tree.written
  }
}

function scan(kind: SendKind, pieces: readonly Buffer[]) {
  const scanner = createSenderScanner(kind)
  for (const piece of pieces) scanner.write(piece)
  return scanner.end()
}

const watched = ['from', 'from', 'email', 'base', 'requests', 'headers', 'x']
/** How a key may be written so that one reader or another takes it for the plain one. */
const disguises: readonly ((key: string) => string)[] = [
  (key) => key,
  (key) => key,
  (key) => `\\u00${key.charCodeAt(0).toString(16)}${key.slice(1)}`,
  (key) => key.toUpperCase(),
  (key) => key[0]?.toUpperCase() + key.slice(1),
  (key) => key.replaceAll('s', 'ſ'),
  (key) => key.replaceAll('s', '\\u017F'),
  (key) => key.replaceAll('i', 'ı'),
  (key) => `${key}\\u0000`,
  (key) => `${key}\\u0000more`,
  (key) => `${key}\\udc00`,
  (key) => `\\ud800${key}`,
]
const key = fc.oneof(
  {
    weight: 9,
    arbitrary: fc
      .tuple(fc.constantFrom(...watched), fc.constantFrom(...disguises.keys()))
      .map(([plain, disguise]) => disguises[disguise]?.(plain) ?? plain),
  },
  { weight: 1, arbitrary: fc.constantFrom('__proto__', '', 'From', 'constructor') },
)
const string = fc
  .constantFrom('a@ok.test', 'b@evil.test', 'c\\u0040also.test', 'a@ok.test', '', 'x\\ny')
  .map((text): Tree => ({ type: 'string', written: text }))
const scalar = fc
  .constantFrom('null', 'null', 'true', '7')
  .map((text): Tree => ({ type: 'scalar', written: text }))

const { anything } = fc.letrec<Record<'anything' | 'object' | 'array', Tree>>((tie) => ({
  anything: fc.oneof({ maxDepth: 3 }, scalar, string, tie('array'), tie('object')),
  object: fc.array(fc.tuple(key, tie('anything')), { maxLength: 3 }).map(objectOf),
  array: fc.array(tie('anything'), { maxLength: 3 }).map(arrayOf),
}))

type Member = readonly [key: string, value: Tree]
function objectOf(members: readonly Member[]): Tree {
  return { type: 'object', members }
}
function arrayOf(items: readonly Tree[]): Tree {
  return { type: 'array', items }
}

/** What would make a difference if somebody read it. */
const lure = fc
  .tuple(string, fc.constantFrom('from', 'message', 'requests', 'headers'))
  .map(([email, role]) => {
    const from = objectOf([['email', email]])
    const message = objectOf([['from', from]])
    if (role === 'requests') return arrayOf([message])
    if (role === 'headers') return objectOf([['From', email]])
    return role === 'from' ? from : message
  })

/** An object as it should be, with something strange among its members now and then. */
function mostly(...usual: readonly (readonly [string, fc.Arbitrary<Tree>])[]): fc.Arbitrary<Tree> {
  const members = usual.map(([name, value]) =>
    fc.option(fc.tuple(fc.constant(name), value), { freq: 9, nil: undefined }),
  )
  const strange = fc.oneof(
    { weight: 2, arbitrary: fc.constant([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.tuple(key, fc.oneof(lure, string, anything)), { maxLength: 2 }),
    },
  )
  return fc
    .tuple(fc.tuple(...members), strange)
    .map(([good, more]) => [...good.filter((one) => one !== undefined), ...more])
    .chain((all) => fc.shuffledSubarray<Member>(all, { minLength: all.length }))
    .map(objectOf)
}

const from = fc.oneof(
  { weight: 8, arbitrary: mostly(['email', string]) },
  { weight: 1, arbitrary: scalar },
)
const message = mostly(['from', from], ['headers', mostly(['X-One', scalar])], ['x', anything])
const body = fc.oneof(
  message,
  mostly(
    ['base', message],
    ['requests', fc.array(message, { minLength: 1, maxLength: 3 }).map(arrayOf)],
  ),
)

/** How some program reads keys, and which of two members it takes. */
interface Reader {
  readonly keyAs: (key: string) => string
  readonly takes: 'first' | 'last'
}

const spellings: readonly ((key: string) => string)[] = [
  (key) => key,
  (key) => key.toLowerCase(),
  (key) => key.replaceAll('ſ', 's').replaceAll('ı', 'i').toLowerCase(),
  (key) => key.split('\0', 1)[0] ?? '',
  (key) => key.replace(/\p{Cs}/gu, ''),
]
const readers: readonly Reader[] = spellings.flatMap((keyAs) => [
  { keyAs, takes: 'first' as const },
  { keyAs, takes: 'last' as const },
])

const decoded = (written: string): string => JSON.parse(`"${written}"`)
const isNull = (tree: Tree | undefined) =>
  tree === undefined || (tree.type === 'scalar' && tree.written === 'null')

function member(tree: Tree | undefined, name: string, { keyAs, takes }: Reader) {
  if (tree?.type !== 'object') return undefined
  const found = tree.members.filter(([written]) => keyAs(decoded(written)) === name)
  return (takes === 'first' ? found[0] : found.at(-1))?.[1]
}

/** Who such a program would send as: `from.email`, or that of the base where a request has no `from`. */
function sendersFor(kind: SendKind, tree: Tree, reader: Reader): unknown[] {
  const at = (one: Tree | undefined, name: string) => member(one, name, reader)
  const base = at(tree, 'base')
  const requests = at(tree, 'requests')
  const items = kind === 'send' ? [tree] : requests?.type === 'array' ? requests.items : []
  return items.map((item) => {
    const own = at(item, 'from')
    const email = at(kind === 'batch' && isNull(own) ? at(base, 'from') : own, 'email')
    return email?.type === 'string' ? decoded(email.written) : undefined
  })
}

/** Whether it would find a From or a Sender among the custom headers. */
function namesSenderInHeaders(kind: SendKind, tree: Tree, reader: Reader): boolean {
  const requests = member(tree, 'requests', reader)
  const items = requests?.type === 'array' ? requests.items : []
  const messages = kind === 'send' ? [tree] : [member(tree, 'base', reader), ...items]
  return messages.some((message) => {
    const headers = member(message, 'headers', reader)
    const names = headers?.type === 'object' ? headers.members.map(([name]) => decoded(name)) : []
    return names.some((name) => ['from', 'sender'].includes(reader.keyAs(name).toLowerCase()))
  })
}

guarantee(
  'every reader finds the senders that were checked: one that takes the first or the last of two keys, in any case, cut at NUL',
  { runs: 3_000, input: fc.record({ body, places }) },
  ({ body: tree, places: at }) => {
    const bytes = Buffer.from(write(tree))
    for (const kind of ['send', 'batch'] as const) {
      const whole = scan(kind, [bytes])
      const cutUp = scan(kind, cut(bytes, at))
      expect(cutUp.ok).toBe(whole.ok)
      if (!whole.ok || !cutUp.ok) continue
      expect(cutUp.senders).toEqual(whole.senders)
      for (const reader of readers) {
        expect(sendersFor(kind, tree, reader)).toEqual(whole.senders)
        expect(namesSenderInHeaders(kind, tree, reader)).toBe(false)
      }
    }
  },
)

/** What people put into a message: all of it text of one line where it becomes a header. */
const line = fc
  .string({ unit: 'grapheme', maxLength: 20 })
  .map((text) => text.replace(/[\r\n\0]/g, ' '))
const ordinary = fc.record(
  {
    from: fc.record({ email: line, name: line }, { requiredKeys: ['email'] }),
    to: fc.array(fc.record({ email: line, name: line }), { maxLength: 2 }),
    subject: line,
    text: fc.string({ unit: 'binary' }),
    html: fc.constantFrom('<p>\r\n"</p>', '\0', 'x'.repeat(9_000)),
    category: line,
    attachments: fc.array(fc.record({ filename: line, content: fc.string() }), { maxLength: 2 }),
    headers: fc.dictionary(fc.stringMatching(/^X-[!-9;-~]{1,10}$/), line, { maxKeys: 2 }),
    custom_variables: fc.jsonValue({ maxDepth: 3 }),
    template_variables: fc.dictionary(
      fc.constantFrom('from', 'From', 'email', 'x'),
      fc.jsonValue(),
    ),
  },
  { requiredKeys: [] },
)

/** Every character that may be is written as an escape. */
function escapeStrings(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"/g, (string) => {
    const units: string[] = JSON.parse(string).split('')
    const escapes = units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    return `"${escapes.join('')}"`
  })
}

guarantee(
  'no ordinary message is refused, however it is spelled, and its senders are those that JSON.parse finds',
  {
    runs: 150,
    input: fc.record({
      base: ordinary,
      requests: fc.array(ordinary, { minLength: 1, maxLength: 3 }),
      indent: fc.nat(3),
      escaped: fc.boolean(),
      places,
    }),
  },
  ({ base, requests, indent, escaped, places: at }) => {
    const spell = (value: unknown) => {
      const text = JSON.stringify(value, null, indent)
      return cut(Buffer.from(escaped ? escapeStrings(text) : text), at)
    }
    for (const message of requests) {
      const expected = message.from === undefined ? undefined : [message.from.email]
      const scanned = scan('send', spell(message))
      expect(scanned.ok ? scanned.senders : undefined).toEqual(expected)
    }
    const senders = requests.map((message) => (message.from ?? base.from)?.email)
    const scanned = scan('batch', spell({ base, requests }))
    expect(scanned.ok ? scanned.senders : undefined).toEqual(
      senders.includes(undefined) ? undefined : senders,
    )
  },
)
