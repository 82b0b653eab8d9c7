import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { defaultTokenPrefix, mintToken } from '../../src/core/token.ts'
import { noLimits } from '../helpers/no-limits.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'
import { rawHttp } from '../helpers/raw-http.ts'
import { type RedisGroup, startRedis } from '../helpers/redis.ts'
import { startScriptedEmailApi } from '../helpers/scripted-email-api.ts'
import { startScriptedRelay } from '../helpers/scripted-relay.ts'
import {
  converse,
  patienceMs,
  presentOverHttp,
  presentToControlPlane,
  smtpDialogues,
} from './presented.ts'

/** Everything that came out of a gate while it lived through a life of tokens, and the secrets that went in. */
export interface WholeRun {
  readonly outputs: ReadonlyMap<OutputName, readonly (string | Buffer)[]>
  /** Tokens by what has become of them. */
  readonly tokens: ReadonlyMap<string, string>
  /** Passwords and keys of the operator. */
  readonly operatorSecrets: ReadonlyMap<string, string>
  remove(): Promise<void>
}

export const outputNames = [
  'what the program writes',
  'what the command line writes',
  'answers of the HTTP gateway',
  'replies of the SMTP gateway',
  'answers of the management API',
  'the audit trail',
  'metrics',
  'the ready file',
  'the database file and its log',
  'Redis',
  'what the Email API gets',
  'what the relay gets',
] as const
export type OutputName = (typeof outputNames)[number]

const leaseMs = 1_000

export async function runWholeLife(): Promise<WholeRun> {
  const outputs = new Map<OutputName, (string | Buffer)[]>(outputNames.map((name) => [name, []]))
  const tokens = new Map<string, string>()
  const note = (name: OutputName, ...text: (string | Buffer)[]) => outputs.get(name)?.push(...text)

  const redis = await startRedis()
  const emailApi = await startScriptedEmailApi()
  const relay = await startScriptedRelay()
  relay.extensions.push('AUTH PLAIN LOGIN')
  const place = createWorkplace()
  const operatorSecrets = giveSettings(place, { redis, emailApi: emailApi.url, relay: relay.port })

  /** Runs a command; of one that is there to show a token, all but that token is an output. */
  async function cli(...args: string[]): Promise<any> {
    const { stdout, stderr } = await place.postern(...args, '--json')
    const isShown = /^(domain add|token (create|reset|reveal)) /.test(args.join(' '))
    note('what the command line writes', stderr, isShown ? withoutShown(stdout) : stdout)
    return stdout === '' ? undefined : JSON.parse(stdout)
  }

  await cli('account', 'create', 'Acme')
  const domain = await cli('domain', 'add', 'acme.test')
  tokens.set('of the domain', domain.token.token)
  const create = async (name: string, ...more: string[]) => {
    const made = await cli(
      'token',
      'create',
      '--name',
      name,
      '--domain',
      'acme.test:admin',
      ...more,
    )
    tokens.set(name, made.token)
    return made as { id: number; token: string }
  }
  const admin = await cli('token', 'create', '--name', 'admin', '--account-level', 'admin')
  tokens.set('admin', admin.token)
  const live = await create('live')
  const [toReset, toEnd, toDelete] = [
    await create('reset'),
    await create('ended'),
    await create('deleted'),
  ]
  tokens.set('unknown', mintToken(defaultTokenPrefix, randomBytes))
  tokens.set('malformed', `${mintToken(defaultTokenPrefix, randomBytes)}x`)
  tokens.set('of another issuer', `im/port+${randomBytes(12).toString('hex')}"&=~%`)

  const gate = await place.start('serve')

  async function http(
    base: string,
    method: string,
    path: string,
    lines: readonly string[],
    body = '',
  ) {
    const head = [
      `${method} ${path} HTTP/1.1`,
      'Host: gate.test',
      ...lines,
      `Content-Length: ${Buffer.byteLength(body)}`,
    ]
    const [answer] = await rawHttp(base, `${head.join('\r\n')}\r\n\r\n${body}`, {
      timeoutMs: patienceMs,
    })
    if (answer === undefined) throw new Error(`no answer to ${method} ${path}`)
    return answer
  }

  async function api(method: string, path: string, body?: unknown, token = admin.token) {
    const lines = [`Authorization: Bearer ${token}`, 'Content-Type: application/json']
    const answer = await http(
      gate.ready.admin,
      method,
      path,
      lines,
      body === undefined ? '' : JSON.stringify(body),
    )
    const isShown = method === 'POST' && /\/(api_tokens|reset|reveal)$/.test(path)
    const text = isShown ? withoutShown(answer.body) : answer.body
    note('answers of the management API', JSON.stringify(answer.headers), text)
    return { status: answer.status, body: answer.body === '' ? null : JSON.parse(answer.body) }
  }

  /** Presents tokens in every place where somebody might put one. */
  async function present(names: Iterable<string>) {
    const chosen = [...names].map((name) => tokens.get(name) ?? '')
    const dialogues = chosen.flatMap(smtpDialogues)
    const overSmtp = dialogues.map((lines) => converse(gate.ready.smtp, lines))
    for (const token of chosen) {
      for (const { status, headers, body } of await presentOverHttp(gate, token)) {
        note('answers of the HTTP gateway', String(status), JSON.stringify(headers), body)
      }
      for (const { headers, body } of await presentToControlPlane(gate, token)) {
        note('answers of the management API', JSON.stringify(headers), body)
      }
      await api('POST', '/api/explain', { token, from: 'a@acme.test' })
    }
    note('replies of the SMTP gateway', ...(await Promise.all(overSmtp)).flat())
  }

  /** The same on the command line, where only one command takes a token. */
  async function explain(names: Iterable<string>) {
    for (const name of names) {
      const token = tokens.get(name) ?? ''
      const said = await place.postern('explain', '--token', token, '--from', 'a@acme.test')
      note('what the command line writes', said.stdout, said.stderr)
    }
  }

  await present(tokens.keys())
  await explain(['live', 'unknown', 'malformed', 'of another issuer'])
  // Good ones have got through, so that there is something to be found behind the gate.
  expect(emailApi.seen.length).toBeGreaterThan(4)
  expect(relay.messages.length).toBeGreaterThan(4)

  // Resets, edits, reveals and deletions, over the command line and over the API.
  tokens.set('successor', (await cli('token', 'reset', String(toReset.id))).token)
  await cli('token', 'reset', String(toReset.id))
  await cli('token', 'undo-reset', String(toReset.id))
  const ended = await api('POST', `/api/api_tokens/${toEnd.id}/reset`, { window: '0' })
  tokens.set('successor over the API', ended.body.token)
  await cli('token', 'window', String(toReset.id), '1h')
  const onDomain = { resource_type: 'domain', resource_id: domain.id, access_level: 100 }
  const made = await api('POST', '/api/api_tokens', { name: 'over the API', resources: [onDomain] })
  tokens.set('made over the API', made.body.token)
  await cli('token', 'reveal', String(live.id))
  await api('POST', `/api/api_tokens/${live.id}/reveal`)
  await cli('token', 'permissions', String(toReset.id), '--domain', 'acme.test:viewer')
  await cli('token', 'delete', String(toDelete.id))
  await cli('token', 'delete', String(toDelete.id))
  await api('DELETE', `/api/api_tokens/${made.body.id}`)
  await cli('token', 'list')
  await api('GET', '/api/api_tokens')
  await api('GET', `/api/api_tokens/${live.id}`)
  await cli('keys', 'rotate')
  await cli('doctor')
  // Mistakes.
  await api('GET', '/api/api_tokens/999')
  await api('POST', '/api/api_tokens', { name: '', resources: 'x' })
  await api('POST', '/api/api_tokens', '{')
  await cli('token', 'delete', String(domain.token.id))
  await present(tokens.keys())
  await explain(['deleted', 'ended', 'successor'])

  note('the audit trail', JSON.stringify((await api('GET', '/api/audit_events')).body))
  note('metrics', (await http(gate.ready.admin, 'GET', '/metrics', [])).body)
  note('the ready file', JSON.stringify(gate.ready))
  note('Redis', ...(await dumpRedis(redis)))
  note('the database file and its log', ...databaseFiles(place))

  // Outages: Redis, both upstreams, and the database, until the gate does not decide any more.
  await redis.servers[0]?.kill()
  emailApi.answer = (_request, response) => void response.destroy()
  relay.answer = (line) => (line.startsWith('MAIL') ? '421 4.3.2 Going down' : undefined)
  await present(['live', 'deleted'])
  const holder = new DatabaseSync(join(place.folder, 'data/postern.db'), { timeout: 5_000 })
  holder.exec('begin immediate')
  const sendOnce = async () => (await presentOverHttp(gate, live.token))[0]?.status
  await expect.poll(sendOnce, { timeout: 10 * leaseMs }).toBe(503)
  await present(['live', 'unknown'])
  await api('DELETE', `/api/api_tokens/${toReset.id}`)
  holder.exec('rollback')
  holder.close()
  emailApi.answer = (_request, response) => void response.writeHead(500).end('broken')
  await expect.poll(sendOnce, { timeout: 10 * leaseMs }).toBe(500)

  note('metrics', (await http(gate.ready.admin, 'GET', '/metrics', [])).body)
  await gate.stop()
  note('what the program writes', gate.output())
  note('the database file and its log', ...databaseFiles(place))
  for (const { method, url, rawHeaders, body } of emailApi.seen) {
    note('what the Email API gets', `${method} ${url}\n${rawHeaders.join('\n')}`, body)
  }
  note('what the relay gets', relay.commands.join('\n'), ...relay.messages)
  await Promise.all([redis.stop(), emailApi.close(), relay.close()])
  return { outputs, tokens, operatorSecrets, remove: () => place.remove() }
}

function giveSettings(
  place: Workplace,
  { redis, emailApi, relay }: { redis: RedisGroup; emailApi: string; relay: number },
): ReadonlyMap<string, string> {
  const secret = () => randomBytes(18).toString('hex')
  const secrets = new Map([
    ['the relay’s password', secret()],
    ['the Email API’s credential', secret()],
    ['the seal key', randomBytes(32).toString('base64')],
  ])
  const [password, credential, sealKey] = [...secrets.values()]
  writeFileSync(join(place.folder, 'headers'), `X-Api-Key: ${credential}\n`)
  writeFileSync(join(place.folder, 'seal.key'), sealKey ?? '')
  Object.assign(place.environment, {
    POSTERN_UPSTREAM_HTTP: emailApi,
    POSTERN_UPSTREAM_HTTP_HEADERS_FILE: 'headers',
    POSTERN_UPSTREAM_SMTP: `smtp://gate:${password}@127.0.0.1:${relay}`,
    POSTERN_UPSTREAM_TIMEOUT_MS: '1000',
    POSTERN_REDIS_URL: redis.url,
    POSTERN_SEAL_KEY_FILE: 'seal.key',
    POSTERN_ALLOW_INSECURE_AUTH: 'true',
    POSTERN_LEASE_MS: String(leaseMs),
    POSTERN_LOG_LEVEL: 'debug',
    POSTERN_SHUTDOWN_TIMEOUT_MS: '1000',
    ...noLimits,
  })
  return secrets
}

/** The answer without the one field that is there to show a token. */
function withoutShown(answer: string): string {
  return answer.replace(/"token":\s*"[^"]*"/, '"token":"shown"')
}

function databaseFiles({ folder }: Workplace): Buffer[] {
  const names = readdirSync(join(folder, 'data')).filter((name) => name.startsWith('postern.db'))
  return names.map((name) => readFileSync(join(folder, 'data', name)))
}

async function dumpRedis(group: RedisGroup): Promise<(string | Buffer)[]> {
  const client = group.client()
  const keys = await client.keys('*')
  expect(keys.length).toBeGreaterThan(0)
  const values = await Promise.all(keys.map((key) => client.getBuffer(key)))
  return [...keys, ...values.map((value) => value ?? '')]
}
