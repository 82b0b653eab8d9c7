import { domainToASCII } from 'node:url'
import emailAddresses from 'email-addresses'
import fc from 'fast-check'
import addressparser from 'nodemailer/lib/addressparser'
import { expect } from 'vitest'
import { headerSenders } from '../../src/core/header-from.ts'
import { createLineEndingGuard } from '../../src/core/line-ending-guard.ts'
import { createHeaderReader, type HeaderRead } from '../../src/core/message-header.ts'
import { cut, guarantee, places } from './property.ts'

/** The header section as the SMTP gateway reads it, or undefined when it refuses the message. */
function readHeader(pieces: readonly Buffer[]): (HeaderRead & { state: 'done' }) | undefined {
  const guard = createLineEndingGuard()
  const isClean = pieces.every((piece) => guard.write(piece) === undefined)
  if (!isClean || guard.end() !== undefined) return undefined
  const reader = createHeaderReader()
  for (const piece of pieces) {
    const read = reader.write(piece)
    if (read.state !== 'more') return read.state === 'done' ? read : undefined
  }
  const read = reader.end()
  return read.state === 'done' ? read : undefined
}

/** The domains that the gate would decide, or undefined when it refuses the message. */
function decidedDomains(pieces: readonly Buffer[]): readonly string[] | undefined {
  const read = readHeader(pieces)
  const senders = read && headerSenders(read.header)
  return senders?.ok ? senders.domains : undefined
}

const unique = (domains: readonly string[]) => [...new Set(domains)].sort()
const domainOf = (address: string) => domainToASCII(address.slice(address.lastIndexOf('@') + 1))

/** Reads as clients do: a best guess for anything. */
function readByGuess(value: string): string[] {
  const found = addressparser(value, { flatten: true })
  return unique(found.map(({ address }) => domainOf(address)))
}

/** Reads by the whole grammar of RFC 5322 with RFC 6532; undefined where that has no such field. It wants no white space around. */
function readByGrammar(value: string): string[] | undefined {
  const found = emailAddresses.parseFrom({ input: value.trim(), rfc6532: true, oneResult: false })
  if (!Array.isArray(found)) return undefined
  const mailboxes = found.flatMap((one) => ('addresses' in one ? one.addresses : [one]))
  return unique(mailboxes.map(({ domain }) => domainToASCII(domain ?? '')))
}

/** A field as it is written, unfolded by somebody else's hand (RFC 5322 §2.2.3). */
const unfolded = (value: string) => value.replace(/\r\n/g, '')

/** The gate takes an address in place of the name where it is the same, which the grammar does not know. */
const withoutSameName = (value: string) => value.replace(/([^\s,]+)[ \t]*<\1>/g, '<$1>')

const atom = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+/^_`{|}~-]{1,12}$/)
const localPart = fc.oneof(
  fc.array(atom, { minLength: 1, maxLength: 3 }).map((atoms) => atoms.join('.')),
  fc.constantFrom('"a b"', '"a,b"', '"x"', 'hello+tag', 'jörg', 'δοκιμή'),
)
const domain = fc.oneof(
  fc.stringMatching(/^[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,5})?(\.[a-z0-9]{1,9}){0,2}\.[a-z]{2,6}$/),
  fc.constantFrom('bücher.de', 'xn--bcher-kva.de', 'пример.испытание', 'EXAMPLE.Com', '例え.jp'),
)
const displayName = fc.oneof(
  fc.array(atom, { minLength: 1, maxLength: 4 }).map((words) => words.join(' ')),
  fc.stringMatching(/^"([A-Za-z0-9 .,;:'()[\]@-]|\\")*"$/),
  fc.constantFrom(
    ...['J. Doe', 'Müller', '日本 太郎', '"Doe, J."', '=?utf-8?q?M=C3=BCller?=', '"a@evil.test"'],
    '=?UTF-8?B?TcO8bGxlcg==?= =?UTF-8?B?TcO8bGxlcg==?=',
  ),
)
const comment = fc.stringMatching(/^\([A-Za-z0-9 .,'-]{0,12}\)$/)
const fold = fc.constantFrom(' ', ' ', ' ', '  ', '\t', '\r\n ', '\r\n\t')
const mailbox = fc
  .record({ localPart, domain, displayName, comment, fold, form: fc.nat(4) })
  .map(
    ({ localPart: local, domain: host, displayName: name, comment: aside, fold: space, form }) => {
      const address = `${local}@${host}`
      const forms = [
        address,
        `<${address}>`,
        `${name}${space}<${address}>`,
        `${address}${space}${aside}`,
        `${name} ${aside}${space}<${address}>`,
      ]
      return { text: forms[form] ?? address, domain: host }
    },
  )
const mailboxes = fc.array(mailbox, { minLength: 1, maxLength: 3 })
/** Whether the gate’s own limits on an address hold, which the grammar does not know. */
const isShort = (text: string) => Buffer.byteLength(text) < 200

guarantee(
  'an ordinary From is read as it is meant, and as two other parsers read it',
  {
    runs: 1_500,
    input: fc.record({ list: mailboxes, separator: fc.constantFrom(',', ', ', ',\r\n ') }),
  },
  ({ list, separator }) => {
    fc.pre(list.every(({ text }) => isShort(text)))
    const value = list.map(({ text }) => text).join(separator)
    const meant = unique(list.map((one) => domainToASCII(one.domain)))
    const decided = decidedDomains([Buffer.from(`From: ${value}\r\n\r\n`)])
    expect(decided && unique(decided)).toEqual(meant)
    expect(readByGuess(unfolded(value))).toEqual(meant)
    expect(readByGrammar(unfolded(value))).toEqual(meant)
  },
)

const fragment = fc.constantFrom(
  ...['<', '>', ',', ';', ':', '"', '(', ')', '\\', '@', '.', ' ', '\t', '\r\n ', '\r\n', '[', ']'],
  ...['<b@evil.test>', 'b@evil.test', '(b@evil.test)', '"b@evil.test"', '<>', '<@evil.test:', '""'],
  ...['Group:', 'A', 'ü', '=?utf-8?q?=3Cb=40evil.test=3E?=', '=?utf-8?b?PGJAZXZpbC50ZXN0Pg==?='],
  ...[
    '\0',
    '\x01',
    '\x0b',
    '\x0c',
    '\x7f',
    '\x80',
    '\u00a0',
    '\u200b',
    '\u2028',
    '\ufeff',
    '．',
    '＠',
  ],
  ...['\n', '\r', '%40', '\\"', '\\<', 'evil.test', '.evil.test', 'ok.test', '@ok.test'],
)
const insertions = fc.array(fc.tuple(fc.nat(400), fragment), { maxLength: 3 })

function insert(text: string, list: readonly (readonly [number, string])[]): string {
  return list.reduce((now, [place, piece]) => {
    const at = place % (now.length + 1)
    return now.slice(0, at) + piece + now.slice(at)
  }, text)
}

guarantee(
  'a From with anything in it is accepted only if two other parsers find the same domains in it',
  {
    runs: 4_000,
    input: fc.record({
      value: fc.oneof(
        mailboxes.map((list) => list.map(({ text }) => text).join(', ')),
        fc.array(fragment, { maxLength: 8 }).map((pieces) => pieces.join('')),
      ),
      insertions,
      places,
    }),
  },
  ({ value, insertions: list, places: at }) => {
    const written = insert(value, list)
    const bytes = Buffer.from(`From: ${written}\r\nTo: x@y.test\r\n\r\n`)
    const decided = decidedDomains([bytes])
    expect(decidedDomains(cut(bytes, at))).toEqual(decided)
    if (decided === undefined) return
    // What comes after a line end that is no fold is another field.
    const [field = ''] = written.split(/\r\n(?![ \t])/, 1)
    expect(readByGuess(unfolded(field))).toEqual(unique(decided))
    expect(readByGrammar(withoutSameName(unfolded(field)))).toEqual(unique(decided))
    // Some take whatever stands between angle brackets.
    for (const [, inside = ''] of field.matchAll(/<([^>]*)>/g)) {
      expect(decided).toContain(domainOf(inside))
    }
  },
)

const headerLine = fc.oneof(
  fc.constantFrom('From: a@ok.test', 'From: a@ok.test', 'To: x@y.test', 'Subject: Hello'),
  fc.constantFrom(
    ...['from:b@evil.test', 'FROM: b@evil.test', 'From : b@evil.test', 'From\t:b@evil.test'],
    ...[
      'Sender: b@evil.test',
      'sender: a@ok.test',
      'Resent-From: b@evil.test',
      'X-From: b@evil.test',
    ],
    ...[
      ' From: b@evil.test',
      '\tb@evil.test',
      ' ',
      '',
      'From b@evil.test',
      'From',
      ':',
      'Fröm: b@evil.test',
    ],
    ...[
      'From:',
      'From:: b@evil.test',
      '\0From: b@evil.test',
      'From\0: b@evil.test',
      '\ufeffFrom: b@evil.test',
    ],
  ),
)
const lineEnd = fc.oneof(
  { weight: 20, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n') },
)

/** What any server might take for a From field: in any case, with white space before its colon, at any kind of line end. */
function possibleSenderLines(header: string, name: 'from' | 'sender'): string[] {
  const [section = ''] = header.split(/\r\n\r\n|\n\n|\n\r\n|\r\r/, 1)
  return section.split(/\r\n|\r|\n/).filter((line) => {
    return new RegExp(`^[^\\x21-\\x7e]*${name}[^\\x21-\\x7e]*:`, 'i').test(
      line.replace(/^[ \t].*/, ''),
    )
  })
}

guarantee(
  'a message is accepted only if nothing but its one From and one Sender could be taken for a From or a Sender',
  {
    runs: 3_000,
    input: fc.record({
      lines: fc.array(fc.tuple(headerLine, lineEnd), { maxLength: 8 }),
      body: fc.constantFrom('', '\r\nFrom: c@body.test\r\n', '\r\n\r\n'),
      places,
    }),
  },
  ({ lines, body, places: at }) => {
    const text = lines.flat().join('') + body
    const bytes = Buffer.from(text)
    const decided = decidedDomains([bytes])
    expect(decidedDomains(cut(bytes, at))).toEqual(decided)
    if (decided === undefined) return
    expect(possibleSenderLines(text, 'from')).toHaveLength(1)
    // And by the letter of RFC 5322 §3.6.2.
    expect(text.match(/^from:/gim)).not.toBeNull()
    const senders = possibleSenderLines(text, 'sender')
    expect(senders.length).toBeLessThan(2)
    const named = [...possibleSenderLines(text, 'from'), ...senders]
    expect(named.join().includes('evil') && !decided.includes('evil.test')).toBe(false)
  },
)

const fieldName = fc.stringMatching(/^[!-9;-~]{1,10}$/)
const fieldBody = fc.stringMatching(/^( [!-~]{1,20}){0,3}(\r\n [!-~]{1,20}){0,2}$/)

guarantee(
  'a header section comes apart into the very bytes that it was, wherever it is cut',
  {
    runs: 500,
    input: fc.record({
      fields: fc.array(fc.tuple(fieldName, fieldBody), { minLength: 1, maxLength: 6 }),
      places,
    }),
  },
  ({ fields, places: at }) => {
    const section = fields.map(([name, value]) => `${name}:${value}\r\n`).join('')
    const read = readHeader(cut(Buffer.from(`${section}\r\nbody`), at))
    const found = read?.header.fields ?? []
    expect(found.map(({ name }) => name)).toEqual(fields.map(([name]) => name.toLowerCase()))
    const bytes = found.map(({ begin, end }) => read?.header.section.toString('utf8', begin, end))
    expect(bytes).toEqual(fields.map(([name, value]) => `${name}:${value}\r\n`))
    expect(read?.header.section.toString()).toBe(section)
    expect('\r\nbody'.startsWith(read?.rest.toString() ?? '?')).toBe(true)
  },
)
