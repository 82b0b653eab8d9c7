import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { noLimits } from '../helpers/no-limits.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'
import { converse, presentOverHttp, smtpDialogues } from './presented.ts'
import { createRefusedTokens, type RefusedTokens, refusedKinds } from './refused-tokens.ts'

/** What a client can tell a token by that is refused: nothing. */

let place: Workplace
let gate: RunningProgram
let tokens: RefusedTokens

beforeAll(async () => {
  place = createWorkplace()
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  gate = await place.start('dev', noLimits)
  const [made] = await createRefusedTokens(place, gate, 1)
  if (made === undefined) throw new Error('no tokens')
  tokens = made
}, 120_000)
afterAll(() => place.remove())

/** Everything that comes back, byte for byte, but for the two fields that are of their own in every answer. */
function exchange(url: string, request: string): Promise<string> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let heard = ''
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(heard.replace(/^(date|x-request-id): .*$/gim, '$1: …')))
    socket.write(request)
  })
}

const body = '{"from":{"email":"a@acme.test"},"to":[{"email":"b@c.test"}],"subject":"x","text":"x"}'
const withBody = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`

describe.each([
  ['Authorization: Bearer ', 'Authorization'],
  ['Api-Token: ', 'Api-Token'],
])('in %s', (field) => {
  test.each([
    ['a message', 'http', 'POST /api/send', withBody],
    ['a batch', 'http', 'POST /api/batch', withBody],
    ['a message for the sandbox', 'http', 'POST /api/send/7', withBody],
    ['a body that is none', 'http', 'POST /api/send', 'Content-Length: 0\r\n\r\n'],
    [
      'a body that waits',
      'http',
      'POST /api/send',
      `Expect: 100-continue\r\nContent-Length: 9\r\n\r\n`,
    ],
    ['a list of tokens', 'admin', 'GET /api/api_tokens', '\r\n'],
    ['a reset', 'admin', 'POST /api/api_tokens/1/reset', 'Content-Length: 0\r\n\r\n'],
    ['somebody else’s account', 'admin', 'GET /api/accounts/99/api_tokens', '\r\n'],
    ['an operation that is none', 'admin', 'GET /api/nowhere', '\r\n'],
  ] as const)('an answer to %s is the same to the byte', async (_name, port, line, rest) => {
    const answers = new Set<string>()
    for (const kind of refusedKinds) {
      const head = `${line} HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n`
      answers.add(await exchange(gate.ready[port], `${head}${field}${tokens[kind]}\r\n${rest}`))
    }
    expect(answers.size).toBe(1)
    expect([...answers][0]).toMatch(/^HTTP\/1\.1 (401|404) /)
  })
})

test('an answer is the same in every other place of a request too', async () => {
  const shown = await Promise.all(
    refusedKinds.map(async (kind) => {
      const answers = await presentOverHttp(gate, tokens[kind])
      return answers.map(({ headers, ...rest }) => {
        const { date: _date, 'x-request-id': _id, ...same } = headers
        return { ...rest, headers: same }
      })
    }),
  )
  expect(shown[0]?.length).toBeGreaterThan(20)
  for (const answers of shown) expect(answers).toEqual(shown[0])
})

const base64 = (text: string) => Buffer.from(text).toString('base64')
const dialogues = smtpDialogues('').length

test.each([...Array(dialogues).keys()])(
  'an SMTP session is the same in every reply: %i',
  async (i) => {
    const sessions = await Promise.all(
      refusedKinds.map((kind) => converse(gate.ready.smtp, smtpDialogues(tokens[kind])[i] ?? [])),
    )
    for (const replies of sessions) expect(replies).toEqual(sessions[0])
  },
)

test('a wrong user name with a live token reads as a token that is refused, up to the end of the connection', async () => {
  const attempts = (line: string) => [...Array(6).fill(line), 'NOOP']
  const sessions = await Promise.all(
    [plain(gate.ready.token, 'someone'), ...refusedKinds.map((kind) => plain(tokens[kind]))].map(
      (line) => converse(gate.ready.smtp, attempts(line)),
    ),
  )
  expect(sessions[0]).toContain('535 5.7.8 Authentication credentials invalid')
  for (const replies of sessions) expect(replies).toEqual(sessions[0])
  for (const kind of refusedKinds) {
    const login = ['AUTH LOGIN', base64('api'), base64(tokens[kind])]
    expect((await converse(gate.ready.smtp, login)).at(-1)).toBe(
      '535 5.7.8 Authentication credentials invalid',
    )
  }
})

test('an open session hears the same when its token is deleted and when it ends', async () => {
  const heard = []
  for (const end of [
    (id: number) => place.json('token', 'delete', String(id)),
    (id: number) => place.json('token', 'reset', String(id), '--window', '0'),
  ]) {
    const made = ['token', 'create', '--account', '1', '--name', 'x', '--domain', 'acme.test:admin']
    const { id, token } = await place.json(...made)
    const client = await connectSmtp(gate.ready.smtp)
    await client.say('EHLO client.test')
    expect(await client.say(plain(token))).toMatch(/^235 /)
    await end(id)
    const reply = await client.say('MAIL FROM:<a@acme.test>')
    heard.push([reply, await client.ended()])
  }
  expect(heard[1]).toEqual(heard[0])
  expect(heard[0]?.[0]).toBe('421 4.7.0 The API token is no longer valid')
})
