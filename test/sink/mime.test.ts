import { expect, test } from 'vitest'
import { readMessage } from '../../src/sink/mime.ts'

function read(...lines: string[]) {
  return readMessage(Buffer.from(lines.join('\r\n')))
}

test('fields are unfolded and encoded words decoded', () => {
  const message = read(
    'Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?=',
    ' =?iso-8859-1?B?IE38bmNoZW4=?=',
    'FROM: "A, B" <a@example.com>,',
    '\tc@example.org',
    '',
    'text',
  )
  expect(message.subject).toBe('Grüße aus München')
  expect(message.headerFrom).toBe('"A, B" <a@example.com>,\tc@example.org')
  expect(message.headerFromAddresses).toEqual(['a@example.com', 'c@example.org'])
  expect(message.headers.map(([name]) => name)).toEqual(['Subject', 'FROM'])
  expect(message.text).toBe('text')
})

test('bodies are found inside nested parts and decoded, attachments are not bodies', () => {
  const message = read(
    'Content-Type: multipart/mixed; boundary="outer"',
    '',
    'preamble',
    '--outer',
    'Content-Type: text/plain',
    'Content-Disposition: attachment; filename=a.txt',
    '',
    'an attachment',
    '--outer',
    'Content-Type: multipart/alternative; boundary=inner',
    '',
    '--inner',
    'Content-Type: text/plain; charset=iso-8859-1',
    'Content-Transfer-Encoding: quoted-printable',
    '',
    'sch=F6n =',
    'lang',
    '--inner',
    'Content-Type: text/html; charset="utf-8"',
    'Content-Transfer-Encoding: base64',
    '',
    Buffer.from('<p>schön</p>').toString('base64'),
    '--inner--',
    '--outer--',
    'epilogue',
  )
  expect(message.text).toBe('schön lang')
  expect(message.html).toBe('<p>schön</p>')
})

test.for([
  ['nothing', ''],
  ['no header', '\r\nonly text'],
  ['only a header', 'Subject: x'],
  ['a multipart without a boundary', 'Content-Type: multipart/mixed\r\n\r\n--\r\n'],
  ['an unknown charset', 'Content-Type: text/plain; charset=none-such\r\n\r\nx'],
  ['zeros', '\0'.repeat(1000)],
  ['a long line', 'a'.repeat(3_000_000)],
] as const)('%s does not break the reader', ([, raw]) => {
  expect(() => readMessage(Buffer.from(raw))).not.toThrow()
})

test('the description of a message is bounded', () => {
  const many = Array.from({ length: 5000 }, (_, at) => `a${at}@example.com`).join(', ')
  const message = read(`From: ${many}`, `Subject: ${'s'.repeat(5000)}`, '', 'x'.repeat(1_000_000))
  expect(message.subject).toHaveLength(998)
  expect(message.headerFrom).toHaveLength(998)
  expect(message.headerFromAddresses.length).toBeLessThanOrEqual(1000)
  expect(message.text).toHaveLength(256 * 1024)
})
