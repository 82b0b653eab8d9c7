import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { headerSenders } from '../../src/core/header-from.ts'
import { createLineEndingGuard } from '../../src/core/line-ending-guard.ts'
import { createHeaderReader, type HeaderRead } from '../../src/core/message-header.ts'

function readHeader(message: string | Buffer, pieceLength = Infinity): HeaderRead {
  const reader = createHeaderReader()
  const bytes = Buffer.from(message)
  for (let at = 0; at < bytes.length; at += pieceLength) {
    const read = reader.write(bytes.subarray(at, at + pieceLength))
    if (read.state !== 'more') return read
  }
  return reader.end()
}

/** The domains, or what is wrong with the header. */
function sendersOf(header: string | Buffer) {
  const read = readHeader(header)
  if (read.state === 'refused') return read.problem
  if (read.state === 'more') throw new Error('a finished message has a header')
  const senders = headerSenders(read.header)
  return senders.ok ? senders.domains : senders.problem
}

describe('the domains that a message says it is from', () => {
  test.each([
    ['a@ok.test', ['ok.test']],
    ['<a@ok.test>', ['ok.test']],
    ['A B <a@ok.test>', ['ok.test']],
    ['J. Doe <a@ok.test>', ['ok.test']],
    ['"Doe, J." <a@ok.test>', ['ok.test']],
    ['"a@evil.test" <a@ok.test>', ['ok.test']],
    ['"a \\" b" <a@ok.test>', ['ok.test']],
    ['Müller <a@ok.test>', ['ok.test']],
    ['=?utf-8?q?M=C3=BCller?= <a@ok.test>', ['ok.test']],
    ['=?UTF-8?B?TcO8bGxlcg==?= <a@ok.test>', ['ok.test']],
    ['a@ok.test (Doe, J.)', ['ok.test']],
    ['(Acme) a@ok.test', ['ok.test']],
    ['A (Sales) <a@ok.test>', ['ok.test']],
    ['A\r\n <a@ok.test>', ['ok.test']],
    ['A\r\n\t<a@ok.test>', ['ok.test']],
    ['a@OK.test', ['ok.test']],
    ['a@ok.test, B <b@also.test>', ['ok.test', 'also.test']],
    ['a@ok.test, b@ok.test', ['ok.test']],
    ['a@bücher.de', ['xn--bcher-kva.de']],
    ['a@xn--bcher-kva.de', ['xn--bcher-kva.de']],
    ['"a b"@ok.test', ['ok.test']],
    ['<"a b"@ok.test>', ['ok.test']],
  ])('From: %s', (value, domains) => {
    expect(sendersOf(`Subject: x\r\nFrom: ${value}\r\n\r\nbody`)).toEqual(domains)
    expect(sendersOf(`From:${value}\r\nTo: b@c.test\r\n\r\n`)).toEqual(domains)
  })

  test('Sender and the Resent fields count too', () => {
    const header =
      'From: a@one.test\r\nSender: b@two.test\r\nResent-From: c@three.test\r\nResent-Sender: d@four.test'
    expect(sendersOf(`${header}\r\n\r\n`)).toEqual([
      'one.test',
      'three.test',
      'two.test',
      'four.test',
    ])
  })

  test('fields whose names only look like it do not count', () => {
    const header =
      'From: a@ok.test\r\nX-From: b@evil.test\r\nFrom-X: b@evil.test\r\nReply-To: b@evil.test'
    expect(sendersOf(`${header}\r\n\r\nFrom: c@evil.test\r\n`)).toEqual(['ok.test'])
  })
})

describe('a header that two programs could read differently names no sender', () => {
  test.each([
    'a@ok.test <b@evil.test>',
    '<a@ok.test> <b@evil.test>',
    '<a@ok.test><b@evil.test>',
    '<b@evil.test>a@ok.test',
    'b@evil.test <a@ok.test>',
    'b@evil.test,<a@ok.test> x',
    'b@evil.test@ok.test',
    'b@ok.test@evil.test',
    '"b@evil.test"@ok.test',
    '"<b@evil.test>" <a@ok.test>',
    '"x\\" <b@evil.test>\\"" <a@ok.test>',
    '"x" <b@evil.test>" <a@ok.test>',
    'A (<b@evil.test>) <a@ok.test>',
    'A (b@evil.test) <a@ok.test>',
    'A (x(y)) <a@ok.test>',
    'A (x\\) <a@ok.test>',
    'a@ok.test (b@evil.test)',
    'a@ok(comment).test',
    'a@ok.test(comment).evil.test',
    'a @ ok.test',
    'a@ ok.test',
    'a@ok.test\r\n .evil.test',
    '<@evil.test:a@ok.test>',
    '<@evil.test,@ok.test:a@ok.test>',
    'a@[127.0.0.1]',
    'a@ok.test.',
    'a@ok.test,',
    ',a@ok.test',
    'a@ok.test,,b@ok.test',
    'a@ok.test;b@evil.test',
    'Group: a@ok.test;',
    'Group: a@ok.test, b@evil.test;',
    'undisclosed-recipients:;',
    '',
    ' ',
    '<>',
    'a',
    'A <>',
    'A <a>',
    'a@localhost',
    '=?utf-8?q?a=40evil.test?=',
    '=?utf-8?q?b=40evil.test=3E?=@ok.test',
    '=?utf-8?b?PGJAZXZpbC50ZXN0Pg==?= <a@ok.test>',
    '=?utf-8?q?=3Cb=40evil.test=3E?= <a@ok.test>',
    '=?utf-8?q?b=40evil.test=00?= <a@ok.test>',
    '=?utf-8?b?YkBldmlsLnRlc3QK?= <a@ok.test>',
    'A <a@ok.test',
    'A a@ok.test>',
    'A <<a@ok.test>>',
    'A <a@ok.test> B',
    'A <a@ok.test b@evil.test>',
    'A < a@ok.test>',
    'a@ok.test\x01',
    'a@ok.test\x7f',
    'a@ok\x0b.test',
    'a@ok_.test',
    '"A <a@ok.test>',
    'John @ Acme <a@ok.test>',
    'a@ex%61mple.com',
    'a@ｏk.test',
  ])('From: %j', (value) => {
    expect(sendersOf(`From: ${value}\r\nTo: x@y.test\r\n\r\n`)).toBe('unreadable-from')
    const sender = sendersOf(`From: a@ok.test\r\nSender: ${value}\r\nTo: x@y.test\r\n\r\n`)
    expect(sender).toBe('unreadable-sender')
  })

  test.each([
    ['no From', 'To: a@b.c\r\n\r\n', 'no-from'],
    ['nothing at all', '', 'no-from'],
    ['an empty header', '\r\nFrom: a@ok.test\r\n', 'no-from'],
    ['two From', 'From: a@ok.test\r\nFrom: b@ok.test\r\n\r\n', 'several-from'],
    [
      'two From, far apart',
      `From: a@ok.test\r\n${'X: y\r\n'.repeat(500)}FROM: b@ok.test\r\n\r\n`,
      'several-from',
    ],
    [
      'two Sender',
      'From: a@ok.test\r\nSender: a@ok.test\r\nsender: a@ok.test\r\n\r\n',
      'several-sender',
    ],
    [
      'two in Sender',
      'From: a@ok.test\r\nSender: a@ok.test, b@ok.test\r\n\r\n',
      'unreadable-sender',
    ],
    ['a space before the colon', 'From : a@ok.test\r\n\r\n', 'malformed-header'],
    ['a tab before the colon', 'From\t: a@ok.test\r\n\r\n', 'malformed-header'],
    ['a fold before the colon', 'From\r\n : a@ok.test\r\n\r\n', 'malformed-header'],
    ['a fold at the start', ' From: b@evil.test\r\nFrom: a@ok.test\r\n\r\n', 'malformed-header'],
    [
      'a line of white space',
      'From: a@ok.test\r\n \r\nFrom: b@evil.test\r\n\r\n',
      'malformed-header',
    ],
    [
      'an mbox line',
      'From a@ok.test Mon Nov 24 2026\r\nFrom: a@ok.test\r\n\r\n',
      'malformed-header',
    ],
    ['a line without a colon', 'From: a@ok.test\r\nnonsense\r\n\r\n', 'malformed-header'],
    ['a name beyond ASCII', 'Frоm: a@ok.test\r\n\r\n', 'malformed-header'],
    ['a NUL in a name', 'Fr\0om: a@ok.test\r\n\r\n', 'malformed-header'],
    ['an empty name', ': a@ok.test\r\n\r\n', 'malformed-header'],
    ['a last line without its end', 'From: a@ok.test', 'malformed-header'],
    ['a header without end', `From: a@ok.test\r\n${'X: y\r\n'.repeat(60_000)}`, 'header-too-large'],
    ['one endless line', 'x'.repeat(300_000), 'header-too-large'],
  ])('%s', (_name, header, problem) => {
    expect(sendersOf(header)).toBe(problem)
  })

  test.each([
    ['words', `${'a '.repeat(100_000)}<a@ok.test>`],
    ['a quoted string without end', `"${'\\"'.repeat(100_000)}`],
    ['mailboxes', 'a@ok.test, '.repeat(20_000)],
    ['comments', `${'(a) '.repeat(50_000)}a@ok.test`],
  ])('a field of very many %s is refused without long work', (_name, value) => {
    const startedAt = performance.now()
    expect(sendersOf(`From: ${value}\r\n\r\n`)).toBe('unreadable-from')
    const split = `From: a@ok.test\r\n${`Resent-From: ${value.slice(0, 8_000)}\r\n`.repeat(20)}\r\n`
    expect(sendersOf(split)).toBe('unreadable-from')
    expect(performance.now() - startedAt).toBeLessThan(1_000)
  })

  test.each([
    ['at most a hundred mailboxes are looked up', 100, 'ok'],
    ['a hundred and one are too many', 101, 'too-many-senders'],
  ])('%s', (_name, count, outcome) => {
    const authors = Array.from({ length: count - 1 }, (_, i) => `a@d${i}.test`).join(', ')
    const read = sendersOf(`From: ${authors}\r\nSender: a@sender.test\r\n\r\n`)
    expect(typeof read === 'string' ? read : 'ok').toBe(outcome)
  })

  test('invalid UTF-8', () => {
    const bytes = Buffer.from('From: \xff <a@ok.test>\r\n\r\n', 'latin1')
    expect(sendersOf(bytes)).toBe('unreadable-from')
  })
})

describe('the header section', () => {
  test('may end with the message', () => {
    expect(sendersOf('From: a@ok.test\r\n')).toEqual(['ok.test'])
  })

  test('may arrive one byte at a time', () => {
    const message = `From: a@ok.test\r\n${'X: y\r\n'.repeat(40_000)}\r\n`
    expect(readHeader(message, 1)).toMatchObject({ state: 'done' })
  })
})

describe('line ends', () => {
  function guard(message: string, pieceLength: number) {
    const watching = createLineEndingGuard()
    const bytes = Buffer.from(message)
    for (let at = 0; at < bytes.length; at += pieceLength) {
      const problem = watching.write(bytes.subarray(at, at + pieceLength))
      if (problem !== undefined) return problem
    }
    return watching.end()
  }

  test('are CR LF together and nothing else', () => {
    const text = fc.array(fc.constantFrom('a', '.', '\r', '\n', '\r\n', '\0'), { maxLength: 12 })
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 13 }), (parts, piece) => {
        const message = parts.join('')
        const rest = message.replaceAll('\r\n', '')
        const good = !/[\r\n\0]/.test(rest)
        expect(guard(message, piece) === undefined).toBe(good)
      }),
      { numRuns: 3_000 },
    )
  })
})

test('what was read before is answered the same, however many others were read since', () => {
  const headers = Array.from({ length: 1_500 }, (_, i) => `From: A <a@ok-${i}.test>\r\n\r\n`)
  const all = [...headers, 'From: a@b@c.test\r\n\r\n', 'From: \r\n\r\n']
  const first = all.map(sendersOf)
  expect(first.slice(0, 2)).toEqual([['ok-0.test'], ['ok-1.test']])
  expect(first.at(-1)).toBe('unreadable-from')
  expect(all.toReversed().map(sendersOf)).toEqual(first.toReversed())
})

test('a header that comes in pieces is put together in memory of its own', () => {
  const bytes = Buffer.from('From: a@ok.test\r\nX: and what is behind\r\n')
  const read = createHeaderReader()
  expect(read.write(bytes.subarray(0, 17)).state).toBe('more')
  expect(read.write(Buffer.from('Y: other\r\n\r\n')).state).toBe('done')
  expect(bytes.toString()).toBe('From: a@ok.test\r\nX: and what is behind\r\n')
})
