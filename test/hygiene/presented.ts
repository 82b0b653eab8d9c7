import type { RunningProgram } from '../helpers/program.ts'
import { type RawAnswer, rawHttp } from '../helpers/raw-http.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** Every place where somebody might put a token, in the right one and in the wrong ones. */

/** A call waits for a database that is locked. */
export const patienceMs = 60_000

const message = (domain: string) =>
  JSON.stringify({
    from: { email: `a@${domain}` },
    to: [{ email: 'b@c.test' }],
    subject: 'x',
    text: 'x',
  })

/** A request for each place over HTTP; the first is as it should be. */
export async function presentOverHttp(gate: RunningProgram, token: string): Promise<RawAnswer[]> {
  const bearer = `Authorization: Bearer ${token}`
  const basic = Buffer.from(`api:${token}`).toString('base64')
  const json = 'Content-Type: application/json'
  const good = message('acme.test')
  const requests: [path: string, lines: string[], body: string][] = [
    ['/api/send', [bearer, json], good],
    ['/api/send', [`Api-Token: ${token}`, json], good],
    ['/api/send', [`authorization: bEARER  ${token}`, json], good],
    ['/api/send', [bearer, json], message('evil.test')],
    ['/api/send', [bearer, json], `{"from":{"email":`],
    ['/api/send', [bearer, json], `{"requests":[]}`],
    ['/api/batch', [bearer, json], `{"requests":[${message('evil.test')}]}`],
    ['/api/send', [bearer, 'Content-Type: text/plain'], good],
    ['/api/send', [bearer, json, 'Content-Encoding: gzip'], good],
    ['/api/send', [bearer, `Api-Token: ${token}`, json], good],
    ['/api/send', [`Authorization: Basic ${basic}`, json], good],
    ['/api/send', [`Authorization: ${token}`, json], good],
    ['/api/send', [`Authorization: Token ${token}`, json], good],
    ['/api/send', [`X-Api-Token: ${token}`, json], good],
    ['/api/send', [`Api-Token: ${token} ${token}`, json], good],
    [`/api/send?token=${encodeURIComponent(token)}`, [json], good],
    [`/api/send?access_token=${token}`, [json], good],
    [`/api/send/${token}`, [bearer, json], good],
    [`/${token}`, [json], good],
    ['/api/nowhere', [bearer, json], good],
    ['/api/send', [`Authorization: Bearer ${token}\0`, json], good],
    ['/api/send', [`Authorization : Bearer ${token}`, json], good],
    ['/api/send', [bearer, json, 'Transfer-Encoding: chunked'], good],
  ]
  return ask(gate.ready.http, 'POST', requests)
}

export async function presentToControlPlane(
  gate: RunningProgram,
  token: string,
): Promise<RawAnswer[]> {
  const bearer = `Authorization: Bearer ${token}`
  return ask(gate.ready.admin, 'GET', [
    // Not what lists or shows tokens: some of these may see them.
    ['/api/accounts', [bearer], ''],
    ['/api/accounts', [`Api-Token: ${token}`], ''],
    ['/api/accounts/999/api_tokens', [bearer], ''],
    [`/api/api_tokens?token=${encodeURIComponent(token)}`, [], ''],
    [`/api/api_tokens/${encodeURIComponent(token)}`, [bearer], ''],
    ['/api/accounts', [`Authorization: ${token}`], ''],
  ])
}

async function ask(
  base: string,
  method: string,
  requests: readonly (readonly [path: string, lines: readonly string[], body: string])[],
): Promise<RawAnswer[]> {
  const answers = requests.map(async ([path, lines, body]) => {
    const head = [
      `${method} ${path} HTTP/1.1`,
      'Host: gate.test',
      ...lines,
      `Content-Length: ${Buffer.byteLength(body)}`,
    ]
    return rawHttp(base, `${head.join('\r\n')}\r\n\r\n${body}`, { timeoutMs: patienceMs })
  })
  return (await Promise.all(answers)).flat()
}

/** What clients say, a line for each reply, for each place over SMTP. */
export function smtpDialogues(token: string): readonly (readonly string[])[] {
  const base64 = (text: string) => Buffer.from(text).toString('base64')
  const send = [
    'MAIL FROM:<a@acme.test>',
    'RCPT TO:<b@c.test>',
    'DATA',
    'From: a@acme.test\r\n\r\nx\r\n.',
  ]
  const foreign = [
    'MAIL FROM:<a@evil.test>',
    'MAIL FROM:<a@acme.test>',
    'RCPT TO:<b@c.test>',
    'DATA',
    'From: a@evil.test\r\n\r\nx\r\n.',
  ]
  return [
    [plain(token), ...send],
    ['AUTH PLAIN', base64(`\0api\0${token}`), ...foreign],
    ['AUTH LOGIN', base64('api'), base64(token), ...send],
    [`AUTH LOGIN ${base64('api')}`, base64(token)],
    [plain('x', token)],
    [plain(token, 'api', 'other')],
    [plain(token, 'someone')],
    [`AUTH PLAIN ${token}`],
    [`AUTH XOAUTH2 ${base64(`user=api\x01auth=Bearer ${token}\x01\x01`)}`],
    [`AUTH ${token}`],
    ['AUTH LOGIN', token, token],
    [`EHLO ${token}`],
    [token],
    [`PASS ${token}`],
    [plain(token), plain(token)],
  ]
}

/** Says line after line; every reply, until the connection is closed. */
export async function converse(address: string, lines: readonly string[]): Promise<string[]> {
  const client = await connectSmtp(address)
  const replies = [client.greeting, await client.say('EHLO client.test')]
  try {
    for (const line of lines) {
      replies.push(await client.say(line))
      // What would be the message is none where DATA was refused.
      if (/^[45]/.test(replies.at(-1) ?? '') && line === 'DATA') break
    }
  } catch (error) {
    replies.push(`closed: ${String(error)}`)
  }
  client.socket().destroy()
  return replies
}
