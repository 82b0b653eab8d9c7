import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { systemRandom } from '../../src/random.ts'
import { type Sink, startSink } from '../../src/sink/sink.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** `postern serve --workers 2`: real processes that share their listeners. */

let postgres: Postgres
let sink: Sink
let place: Workplace
let gate: RunningProgram
let token: string

beforeAll(async () => {
  const anyPort = { host: '127.0.0.1', port: 0 }
  ;[postgres, sink] = await Promise.all([
    startPostgres(),
    startSink({
      httpListen: anyPort,
      smtpListen: anyPort,
      clock: systemClock,
      random: systemRandom,
      // Every message of a test is looked for afterwards.
      maxMessages: 100_000,
    }),
  ])
}, 300_000)
afterAll(async () => {
  await sink.close()
  await postgres.stop()
})

beforeEach(async () => {
  place = createWorkplace({
    POSTERN_DATABASE_URL: await postgres.createDatabase(),
    POSTERN_UPSTREAM_HTTP: sink.http,
    POSTERN_UPSTREAM_SMTP: `smtp://${sink.smtp}`,
    POSTERN_ALLOW_INSECURE_AUTH: 'true',
    POSTERN_SHUTDOWN_TIMEOUT_MS: '2000',
    POSTERN_LEASE_MS: '2000',
    POSTERN_WORKERS: '2',
  })
  onTestFinished(() => place.remove())
  const sealKey = join(place.folder, 'seal.key')
  writeFileSync(sealKey, randomBytes(32).toString('base64'))
  place.environment.POSTERN_SEAL_KEY_FILE = sealKey
  await place.json('account', 'create', 'Acme')
  token = (await place.json('domain', 'add', 'acme.test')).token.token
  gate = await place.start('serve')
  sink.mailbox.clear()
})

const messageOf = (subject: string) =>
  JSON.stringify({
    from: { email: 'hello@acme.test' },
    to: [{ email: 'you@example.net' }],
    subject,
    text: 'x',
  })
const message = messageOf('Hello')

/** Without an agent each has a connection of its own, so that the workers take turns. */
async function send(
  bearerToken = token,
  agent: Agent | false = false,
  subject = 'Hello',
): Promise<number> {
  const sending = request(`${gate.ready.http}/api/send`, {
    method: 'POST',
    agent,
    headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
  })
  sending.end(messageOf(subject))
  const [answer] = await once(sending, 'response')
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode
}

/** A session that has begun its message. */
async function beginMessage() {
  const client = await connectSmtp(gate.ready.smtp)
  await client.say('EHLO client.test')
  await client.say(plain(token))
  await client.say('MAIL FROM:<hello@acme.test>')
  await client.say('RCPT TO:<you@example.net>')
  await client.say('DATA')
  client.write('From: hello@acme.test\r\n\r\nhalf of it\r\n')
  return client
}

/** One message over a connection of its own. A session that is idle may be told that the gate closes, and is not refused. */
async function sendBySmtp(subject: string): Promise<string> {
  const client = await connectSmtp(gate.ready.smtp)
  try {
    if (client.greeting.startsWith('421 4.3.2')) return 'closing'
    for (const line of ['EHLO client.test', plain(token)]) {
      const reply = await client.say(line)
      if (reply.startsWith('421 4.3.2')) return 'closing'
    }
    const begun = await client.say('MAIL FROM:<hello@acme.test>')
    if (begun.startsWith('421 4.3.2')) return 'closing'
    await client.say('RCPT TO:<you@example.net>')
    const go = await client.say('DATA')
    if (!go.startsWith('354')) return go
    client.write(`From: hello@acme.test\r\nSubject: ${subject}\r\n\r\nx\r\n.\r\n`)
    return (await client.reply()).slice(0, 3)
  } finally {
    client.socket().destroy()
  }
}

/**
 * `node:cluster` never lets go of a connection that it is handing to a worker when that is killed: like any client, these
 * give up some time.
 */
const patience = () => delay(3_000, 'given up', { ref: false })

/** Sends over HTTP and SMTP, each message with its own subject, until it is stopped. */
function keepSending() {
  const answers: (number | string)[] = []
  const accepted: string[] = []
  const kept = new Agent({ keepAlive: true, maxSockets: 1 })
  let stopped = false
  async function run(name: string, send: (subject: string) => Promise<number | string>) {
    for (let n = 0; !stopped; n++) {
      const subject = `${name} ${n}`
      const answer = await Promise.race([send(subject), patience()]).catch(String)
      answers.push(answer)
      if (answer === 200 || answer === '250') accepted.push(subject)
    }
  }
  const running = Promise.all([
    run('fresh', (subject) => send(token, false, subject)),
    run('kept', (subject) => send(token, kept, subject)),
    run('smtp', sendBySmtp),
  ]).finally(() => kept.destroy())
  return {
    accepted,
    async stop() {
      stopped = true
      await running
      return answers
    },
  }
}

/** What was answered 200 or 250 and never reached the upstream. */
function lost(accepted: readonly string[]): string[] {
  const arrived = new Set(sink.mailbox.list().map(({ subject }) => subject))
  return accepted.filter((subject) => !arrived.has(subject))
}

function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

async function counted(): Promise<number> {
  const metrics = await (await fetch(`${gate.ready.admin}/metrics`)).text()
  const [, count] = /postern_answers_total\{protocol="http",code="200"\} (\d+)/.exec(metrics) ?? []
  return Number(count ?? 0)
}

function workers(): number[] {
  const { pid } = gate.ready
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number)
}

test('all of them take mail, and are counted together', async () => {
  expect(gate.ready.workers).toHaveLength(2)
  for (let i = 0; i < 20; i++) expect(await send()).toBe(200)
  const client = await connectSmtp(gate.ready.smtp)
  await client.say('EHLO client.test')
  expect(await client.say(plain(token))).toMatch(/^235 /)
  const metrics = await (await fetch(`${gate.ready.admin}/metrics`)).text()
  expect(metrics).toMatch(/postern_answers_total\{protocol="http",code="200"\} 20\n/)
  expect(metrics).toMatch(/postern_lease_seconds_left 1\.\d+/)
  expect((await fetch(`${gate.ready.admin}/readyz`)).status).toBe(200)
})

test('a deletion is confirmed by each, and none accepts the token afterwards', async () => {
  const { id, token: other } = await place.json(
    'token',
    'create',
    '--name',
    'x',
    '--domain',
    'acme.test:admin',
  )
  for (let i = 0; i < 10; i++) expect(await send(other)).toBe(200)
  const { receipt } = await place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 0 })
  for (let i = 0; i < 10; i++) expect(await send(other)).toBe(401)
})

test('one that is killed is replaced, and no change waits for it: its death is known', async () => {
  const [first] = workers()
  process.kill(first ?? 0, 'SIGKILL')
  await expect
    .poll(() => workers().filter((pid) => pid !== first).length, { timeout: 10_000 })
    .toBe(2)
  await expect.poll(() => gate.output(), { timeout: 10_000 }).toContain('worker_replaced')
  const { id } = await place.json('token', 'create', '--name', 'x', '--domain', 'acme.test:admin')
  const { receipt } = await place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 0 })
  for (let i = 0; i < 10; i++) expect(await send()).toBe(200)
})

test('one that is killed under load loses nothing that it accepted', async () => {
  const load = keepSending()
  await expect.poll(() => load.accepted.length, { timeout: 10_000 }).toBeGreaterThan(20)
  const [first = 0, second = 0] = workers()
  process.kill(first, 'SIGKILL')
  await expect.poll(() => gate.output(), { timeout: 10_000 }).toContain('worker_replaced')
  const before = load.accepted.length
  await expect.poll(() => load.accepted.length, { timeout: 10_000 }).toBeGreaterThan(before + 20)
  const answers = await load.stop()
  expect(lost(load.accepted)).toEqual([])
  // Each of the three has at most the one message in flight that died with its worker.
  expect(answers.filter((answer) => answer !== 200 && answer !== '250').length).toBeLessThan(4)
  expect(workers()).toContain(second)
  expect(workers()).toHaveLength(2)
})

test('one that is stopped is waited out for its lease and fenced, and never decides on the old state', async () => {
  const { id, token: other } = await place.json(
    'token',
    'create',
    '--name',
    'x',
    '--domain',
    'acme.test:admin',
  )
  for (let i = 0; i < 10; i++) expect(await send(other)).toBe(200)
  const [first = 0] = workers()
  process.kill(first, 'SIGSTOP')
  const { receipt } = await place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 1 })
  const held = Promise.all(Array.from({ length: 6 }, () => send(other)))
  process.kill(first, 'SIGCONT')
  for (const status of await held) expect([401, 503]).toContain(status)
  await expect.poll(() => send(), { timeout: 10_000 }).toBe(200)
})

test('what was counted is not forgotten with the worker that counted it', async () => {
  for (let i = 0; i < 20; i++) expect(await send()).toBe(200)
  expect(await counted()).toBe(20)
  const before = workers()
  process.kill(before[0] ?? 0, 'SIGKILL')
  await expect.poll(() => gate.output(), { timeout: 10_000 }).toContain('worker_replaced')
  expect(await counted()).toBe(20)
  // Not asked for since: those that finish tell it themselves.
  for (let i = 0; i < 10; i++) expect(await send()).toBe(200)
  gate.process.kill('SIGHUP')
  await expect
    .poll(() => gate.output().match(/worker_renewed/g)?.length, { timeout: 15_000 })
    .toBe(2)
  await expect.poll(() => workers().length, { timeout: 10_000 }).toBe(2)
  expect(await counted()).toBe(30)
})

test('a rolling restart under load, asked for twice, refuses nobody and loses nothing', async () => {
  const before = workers()
  const load = keepSending()
  gate.process.kill('SIGHUP')
  await expect.poll(() => workers().length, { timeout: 10_000 }).toBe(3)
  gate.process.kill('SIGHUP')
  await expect
    .poll(() => gate.output().match(/worker_renewed/g)?.length, { timeout: 20_000 })
    .toBe(4)
  await expect.poll(() => workers().length, { timeout: 10_000 }).toBe(2)
  const answers = await load.stop()
  expect(workers().filter((pid) => before.includes(pid))).toEqual([])
  expect(load.accepted.length).toBeGreaterThan(50)
  expect(new Set(answers).difference(new Set([200, '250', 'closing']))).toEqual(new Set())
  expect(lost(load.accepted)).toEqual([])
}, 60_000)

test('a restart picks up changed files; one whose settings do not work is said, and changes nothing', async () => {
  await gate.stop()
  const file = join(place.folder, 'postern.conf')
  writeFileSync(file, 'POSTERN_MAX_BODY_BYTES=1000000\n')
  gate = await place.start('serve', { POSTERN_CONFIG_FILE: file })
  expect(await send(token, false, 'x'.repeat(2000))).toBe(200)

  const before = workers()
  writeFileSync(file, 'POSTERN_MAX_BODY_BYTES=nonsense\n')
  gate.process.kill('SIGHUP')
  await expect.poll(() => gate.output(), { timeout: 10_000 }).toContain('restart_failed')
  expect(gate.output()).toMatch(/restart_failed.*POSTERN_MAX_BODY_BYTES/)
  expect(workers()).toEqual(before)

  writeFileSync(file, 'POSTERN_MAX_BODY_BYTES=1500\n')
  gate.process.kill('SIGHUP')
  await expect
    .poll(() => gate.output().match(/worker_renewed/g)?.length, { timeout: 15_000 })
    .toBe(2)
  expect(await send(token, false, 'x'.repeat(2000))).toBe(413)
})

test('on SIGTERM all of them finish what is in flight, idle sessions hear why, and it ends with 0', async () => {
  const idle = await connectSmtp(gate.ready.smtp)
  await idle.say('EHLO client.test')
  const busy = await beginMessage()
  const inFlight = request(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': message.length,
      expect: '100-continue',
    },
  })
  inFlight.flushHeaders()
  await once(inFlight, 'continue')
  inFlight.write(message.slice(0, 20))

  const stopped = gate.stop('SIGTERM')
  expect(await idle.reply()).toMatch(/^421 4\.3\.2 /)
  inFlight.end(message.slice(20))
  const [answer] = await once(inFlight, 'response')
  expect(answer.statusCode).toBe(200)
  busy.write('the rest\r\n.\r\n')
  expect(await busy.reply()).toMatch(/^250 /)
  expect(await stopped).toBe(0)
})

test('a second signal ends all of them at once', async () => {
  await gate.stop()
  gate = await place.start('serve', { POSTERN_SHUTDOWN_TIMEOUT_MS: '60000' })
  const busy = await beginMessage()
  const pids = workers()
  gate.process.kill('SIGTERM')
  await expect.poll(() => gate.output()).toContain('stopping')
  expect(await gate.stop('SIGTERM')).toBe(1)
  await expect.poll(() => pids.filter(isAlive), { timeout: 5_000 }).toEqual([])
  await expect(busy.reply()).rejects.toThrow('the connection ended')
})

test('without the primary process the workers finish what is in flight, and end', async () => {
  const busy = await beginMessage()
  const pids = workers()
  await gate.stop('SIGKILL')
  busy.write('the rest\r\n.\r\n')
  expect(await busy.reply()).toMatch(/^250 /)
  await expect.poll(() => pids.filter(isAlive), { timeout: 10_000 }).toEqual([])
})

test('SIGHUP ends a gate without workers, as it ends any program', async () => {
  const alone = await place.start('serve', { POSTERN_WORKERS: '1' })
  await alone.stop('SIGHUP')
  expect(alone.process.signalCode).toBe('SIGHUP')
})

test('several workers on SQLite are refused as a problem of the settings', async () => {
  const { status, stderr } = await place.postern(
    'serve',
    '--workers',
    '2',
    '--database-url',
    'sqlite:./x.db',
  )
  expect(status).toBe(1)
  expect(stderr).toContain('POSTERN_WORKERS above 1 needs PostgreSQL')
})
