import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
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

const message = JSON.stringify({
  from: { email: 'hello@acme.test' },
  to: [{ email: 'you@example.net' }],
  subject: 'Hello',
  text: 'x',
})

/** Without an agent each has a connection of its own, so that the workers take turns. */
async function send(bearerToken = token, agent: Agent | false = false): Promise<number> {
  const sending = request(`${gate.ready.http}/api/send`, {
    method: 'POST',
    agent,
    headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
  })
  sending.end(message)
  const [answer] = await once(sending, 'response')
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode
}

/** Sends one after the other until it is stopped; answers every status, or what went wrong. */
function keepSending() {
  const seen: (number | string)[] = []
  const kept = new Agent({ keepAlive: true, maxSockets: 1 })
  let stopped = false
  async function run(agent: Agent | false) {
    while (!stopped) seen.push(await send(token, agent).catch(String))
  }
  const running = Promise.all([run(false), run(kept)]).finally(() => kept.destroy())
  return async function stop() {
    stopped = true
    await running
    return seen
  }
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

test('a rolling restart under load refuses nobody and loses nothing', async () => {
  const before = workers()
  const stop = keepSending()
  gate.process.kill('SIGHUP')
  await expect
    .poll(() => workers().filter((pid) => before.includes(pid)).length, {
      timeout: 20_000,
    })
    .toBe(0)
  const seen = await stop()
  expect(seen.length).toBeGreaterThan(10)
  expect(new Set(seen)).toEqual(new Set([200]))
  expect(sink.mailbox.list().length).toBeGreaterThanOrEqual(Math.min(seen.length, 100))
  expect(workers()).toHaveLength(2)
})

test('on SIGTERM all of them finish what is in flight, idle sessions hear why, and it ends with 0', async () => {
  const idle = await connectSmtp(gate.ready.smtp)
  await idle.say('EHLO client.test')
  const busy = await connectSmtp(gate.ready.smtp)
  await busy.say('EHLO client.test')
  await busy.say(plain(token))
  await busy.say('MAIL FROM:<hello@acme.test>')
  await busy.say('RCPT TO:<you@example.net>')
  await busy.say('DATA')
  busy.write('From: hello@acme.test\r\n\r\nhalf of it\r\n')
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

test('without the primary process the workers end too', async () => {
  const pids = workers()
  await gate.stop('SIGKILL')
  const alive = () =>
    pids.filter((pid) => {
      try {
        process.kill(pid, 0)
        return true
      } catch {
        return false
      }
    })
  await expect.poll(alive, { timeout: 10_000 }).toEqual([])
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
