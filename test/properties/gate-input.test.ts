import { connect } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { noLimits } from '../helpers/no-limits.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { connectSmtp, plain, type SmtpClient } from '../helpers/smtp-client.ts'
import { cut, guarantee, inTime } from './property.ts'

/** The real program, and bytes of every kind on both of its ports. */

/** Stands for the token, which is not known when the bytes are made up. */
const tokenMark = '{token}'
const plainMark = '{plain}'

const noise = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.constantFrom(
    '\0',
    '\r',
    '\n',
    '\r\n',
    ' ',
    '\x16\x03\x01\x02\x00\x01\x00',
    'PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\n',
  ),
)
const sender = fc.constantFrom(
  'hello@example.com',
  'hello@evil.test',
  'hello@example.com@evil.test',
  '',
)
const sendBody = fc
  .tuple(
    sender,
    fc.constantFrom('', ',"from":{"email":"hello@evil.test"}', ',"x":"\\ud800"', '}', ',', '\0'),
  )
  .map(
    ([email, more]) =>
      `{"from":{"email":"${email}"},"to":[{"email":"you@example.net"}],"text":"x"${more}}`,
  )

const httpPiece = fc.oneof(
  { weight: 2, arbitrary: noise },
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...[
        'POST /api/send HTTP/1.1\r\n',
        'POST /api/batch HTTP/1.1\r\n',
        'GET / HTTP/1.1\r\n',
        'POST  HTTP/1.1\r\n',
      ],
      ...[
        'CONNECT a:1 HTTP/1.1\r\n',
        'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
        'OPTIONS * HTTP/1.1\r\n',
        'POST /%00 HTTP/1.0\r\n',
      ],
      ...[
        'Host: gate.test\r\n',
        `Authorization: Bearer ${tokenMark}\r\n`,
        `Api-Token: ${tokenMark}\r\n`,
        'Host:\r\n',
      ],
      ...[
        'Content-Type: application/json\r\n',
        'Content-Length: 5\r\n',
        'Content-Length: 90\r\n',
        'Content-Length: -1\r\n',
      ],
      ...[
        'Transfer-Encoding: chunked\r\n',
        'Expect: 100-continue\r\n',
        'Connection: close\r\n',
        'Upgrade: h2c\r\n',
        'X: \r\n y\r\n',
      ],
      ...['\r\n', '\r\n', '5\r\nhello\r\n', '0\r\n\r\n', 'ffffffffff\r\n', '5;x="\r\n'],
    ),
  },
  { weight: 1, arbitrary: sendBody },
)
/** A request that is nearly one. */
const httpRequest = fc
  .tuple(
    fc.constantFrom('/api/send', '/api/batch', '/api/send/1', '/'),
    fc.array(httpPiece, { maxLength: 2 }),
    sendBody,
  )
  .map(([path, more, text]) =>
    [
      `POST ${path} HTTP/1.1\r\nHost: gate.test\r\nAuthorization: Bearer ${tokenMark}\r\nContent-Type: application/json\r\n`,
      ...more,
      `Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
    ].join(''),
  )
const httpBytes = fc.oneof(
  fc.array(httpPiece, { maxLength: 12 }).map((pieces) => pieces.join('')),
  fc.array(httpRequest, { minLength: 1, maxLength: 2 }).map((requests) => requests.join('')),
)

const smtpLine = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      ...[
        'EHLO client.test',
        'HELO client.test',
        plainMark,
        'AUTH LOGIN',
        'YXBp',
        'AUTH PLAIN',
        'AUTH PLAIN =',
        '*',
      ],
      ...[
        'MAIL FROM:<hello@example.com>',
        'MAIL FROM:<hello@evil.test>',
        'MAIL FROM:<>',
        'MAIL FROM:<a@b',
        'RSET',
      ],
      ...[
        'RCPT TO:<you@example.net>',
        'RCPT TO:<you@example.net> NOTIFY=NEVER',
        'DATA',
        'BDAT 5 LAST',
        'STARTTLS',
        'QUIT',
      ],
      ...[
        'From: hello@example.com',
        'From: hello@evil.test',
        'Sender: hello@evil.test',
        '',
        '.',
        '..',
        'NOOP',
        'VRFY x',
      ],
    ),
  },
  { weight: 1, arbitrary: noise },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'x'.repeat(5_000),
      'MAIL '.repeat(500),
      'XCLIENT ADDR=1.1.1.1',
      'HELP',
    ),
  },
)
const lineEnd = fc.constantFrom('\r\n', '\r\n', '\r\n', '\r\n', '\n', '\r')
const opening = `EHLO client.test\r\n${plainMark}\r\nMAIL FROM:<hello@example.com>\r\nRCPT TO:<you@example.net>\r\nDATA\r\n`
const smtpBytes = fc
  .tuple(
    fc.constantFrom('', '', opening, `${opening}From: hello@example.com\r\n`),
    fc.array(fc.tuple(smtpLine, lineEnd), { maxLength: 15 }),
  )
  .map(([begin, lines]) => begin + lines.flat().join(''))

const input = fc.record({
  http: httpBytes,
  smtp: smtpBytes,
  cuts: fc.array(fc.nat(2_000), { maxLength: 6 }),
  resets: fc.boolean(),
})

let place: Workplace
let gate: RunningProgram
let goodClient: SmtpClient | undefined

beforeAll(async () => {
  place = createWorkplace()
  gate = await place.start('dev', noLimits)
}, 300_000)
afterAll(() => place.remove())

/** Writes the bytes, ends its side or resets the connection, and gives what came back when it is over. */
async function throwAt(address: string, bytes: Buffer, cuts: readonly number[], resets: boolean) {
  const [host = '', port] = address.split(':')
  const socket = connect({ host, port: Number(port) })
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
  })
  socket.on('error', () => {})
  const over = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  // A client of SMTP that speaks before it is spoken to is sent away.
  if (address === gate.ready.smtp)
    await Promise.race([over, new Promise((resolve) => socket.once('data', resolve))])
  for (const piece of cut(bytes, cuts)) {
    if (socket.destroyed) break
    socket.write(piece)
    await nextTurn()
  }
  if (resets) socket.resetAndDestroy()
  else socket.end()
  await inTime(over, `the end of a connection to ${address}, after ${JSON.stringify(heard)}`)
  return heard
}

async function sendGood() {
  const answer = await fetch(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${gate.ready.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      from: { email: 'hello@example.com' },
      to: [{ email: 'you@example.net' }],
      subject: 'good',
      text: 'x',
    }),
    signal: AbortSignal.timeout(10_000),
  })
  expect(answer.status).toBe(200)
  if (goodClient === undefined) {
    goodClient = await connectSmtp(gate.ready.smtp)
    await goodClient.say('EHLO good.test')
    await goodClient.say(plain(gate.ready.token))
  }
  for (const line of ['MAIL FROM:<hello@example.com>', 'RCPT TO:<you@example.net>', 'DATA']) {
    expect(await inTime(goodClient.say(line), line)).toMatch(/^[23]/)
  }
  goodClient.write('From: hello@example.com\r\nSubject: good\r\n\r\nx\r\n.\r\n')
  expect(await inTime(goodClient.reply(), 'the end of the message')).toMatch(/^250 /)
}

guarantee(
  'whatever bytes come to its ports, the gate is there for the next client, blames nobody but them, and lets no foreign sender through',
  { runs: 25, input },
  async ({ http, smtp, cuts, resets }) => {
    const { token, http: url, smtp: smtpAddress, sink } = gate.ready
    const fill = (text: string) =>
      Buffer.from(text.replaceAll(tokenMark, token).replaceAll(plainMark, plain(token)), 'latin1')
    const [httpHeard, smtpHeard] = await Promise.all([
      throwAt(new URL(url).host, fill(http), cuts, resets),
      throwAt(smtpAddress, fill(smtp), cuts, resets),
    ])
    expect(httpHeard).not.toMatch(/^HTTP\/1\.1 5/m)
    expect(smtpHeard).not.toMatch(/^45\d /m)
    expect(httpHeard + smtpHeard).not.toContain(token)

    await sendGood()
    expect(gate.process.exitCode).toBeNull()
    const kept = (await (await fetch(`${sink.http}/messages`)).json()) as any[]
    expect(kept.filter(({ subject }) => subject === 'good')).toHaveLength(2)
    for (const { senders } of kept) {
      for (const address of senders) expect(address).toMatch(/@example\.com$/)
    }
    await fetch(`${sink.http}/messages`, { method: 'DELETE' })
  },
)
