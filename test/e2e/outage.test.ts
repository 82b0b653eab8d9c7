import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import nodemailer from 'nodemailer'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { systemRandom } from '../../src/random.ts'
import { type Sink, startSink } from '../../src/sink/sink.ts'
import { createCertificate } from '../helpers/certificate.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** `postern serve` as in production: PostgreSQL, certificates, upstreams of its own; and what becomes of it in trouble. */

const certificate = createCertificate('gate.test')
const message = {
  from: { email: 'hello@acme.test' },
  to: [{ email: 'you@example.net' }],
  subject: 'Hello',
  text: 'x',
}

let postgres: Postgres
let sink: Sink
let place: Workplace
let gate: RunningProgram
let token: string

beforeAll(async () => {
  postgres = await startPostgres()
  const anyPort = { host: '127.0.0.1', port: 0 }
  sink = await startSink({
    httpListen: anyPort,
    smtpListen: anyPort,
    clock: systemClock,
    random: systemRandom,
  })
}, 300_000)
afterAll(async () => {
  await sink.close()
  await postgres.stop()
})

beforeEach(async () => {
  place = createWorkplace({ POSTERN_DATABASE_URL: await postgres.createDatabase() })
  const file = (name: string, content: string) => {
    const path = join(place.folder, name)
    writeFileSync(path, content)
    return path
  }
  Object.assign(place.environment, {
    POSTERN_SEAL_KEY_FILE: file('seal.key', randomBytes(32).toString('base64')),
    POSTERN_TLS_CERT: file('tls.crt', certificate.cert),
    POSTERN_TLS_KEY: file('tls.key', certificate.key),
    POSTERN_UPSTREAM_HTTP: sink.http,
    POSTERN_UPSTREAM_SMTP: `smtp://${sink.smtp}`,
    POSTERN_SHUTDOWN_TIMEOUT_MS: '2000',
    POSTERN_LEASE_MS: '1000',
  })
  await place.json('account', 'create', 'Acme')
  token = (await place.json('domain', 'add', 'acme.test')).token.token
  gate = await place.start('serve')
  sink.mailbox.clear()
})
afterEach(() => place.remove())

async function sendHttp(bearerToken = token): Promise<Response> {
  return fetch(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(message),
  })
}

async function smtpSession() {
  const client = await connectSmtp(gate.ready.smtp)
  await client.say('EHLO client.test')
  await client.say('STARTTLS')
  await client.upgrade()
  await client.say('EHLO client.test')
  return client
}

function sendSmtp(pass = token) {
  const [host, port] = gate.ready.smtp.split(':')
  const transport = nodemailer.createTransport({
    host: host ?? '',
    port: Number(port),
    requireTLS: true,
    auth: { user: 'api', pass },
    tls: { ca: certificate.cert, servername: 'gate.test' },
  })
  return transport.sendMail({ from: 'hello@acme.test', to: 'you@example.net', text: 'x' })
}

test('it serves both protocols, with TLS, and logs what it decided in lines of JSON without a secret', async () => {
  expect((await sendHttp()).status).toBe(200)
  expect((await sendSmtp()).response).toMatch(/^250 /)
  expect((await sendHttp('pst_nobody')).status).toBe(401)
  expect(sink.mailbox.list()).toHaveLength(2)
  expect(await gate.stop()).toBe(0)
  const lines = gate
    .output()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const decisions = lines.filter(({ event }) => event === 'decision')
  const allowed = decisions.filter((decision) => decision.allowed)
  expect(allowed.map(({ protocol, stage }) => `${protocol} ${stage}`)).toEqual([
    'http message',
    'smtp auth',
    'smtp message',
  ])
  expect(decisions.some(({ reason }) => reason === 'malformed-token')).toBe(true)
  for (const decision of decisions) expect(decision.requestId).toEqual(expect.any(String))
  expect(gate.output()).not.toContain(token)
  expect(gate.output()).not.toContain('pst_nobody')
})

describe('while the database is down', () => {
  test('it says 503 and 454, never 401 or 535, and recovers by itself', async () => {
    const before = await smtpSession()
    expect(await before.say(plain(token))).toMatch(/^235 /)
    expect((await sendHttp()).status).toBe(200)
    await postgres.kill()
    try {
      // What is cached is decided on until the lease is over; what is not, cannot be found out.
      expect((await sendHttp('unknown-token')).status).toBe(503)
      const statuses = new Set<number>()
      await expect
        .poll(
          async () => {
            const { status } = await sendHttp()
            statuses.add(status)
            return status
          },
          { timeout: 5_000 },
        )
        .toBe(503)
      expect(statuses.isSubsetOf(new Set([200, 503]))).toBe(true)
      for (const bearerToken of [token, 'unknown-token']) {
        const answer = await sendHttp(bearerToken)
        expect(answer.status).toBe(503)
        expect(answer.headers.get('retry-after')).toMatch(/^\d+$/)
        expect(await answer.json()).toMatchObject({ success: false })
        const client = await smtpSession()
        expect(await client.say(plain(bearerToken))).toMatch(/^454 4\.7\.0 /)
      }
      expect(await before.say('MAIL FROM:<hello@acme.test>')).toMatch(/^454 4\.7\.0 /)
      expect((await fetch(`${gate.ready.admin}/readyz`)).status).toBe(503)
      expect((await fetch(`${gate.ready.admin}/livez`)).status).toBe(200)
      const asked = await fetch(`${gate.ready.admin}/api/api_tokens`, {
        headers: { authorization: `Bearer ${token}` },
      })
      expect(asked.status).toBe(503)
      expect(asked.headers.get('retry-after')).toBe('2')
      const refused = await place.postern('token', 'list')
      expect(refused.status).toBe(1)
      expect(refused.stderr).toMatch(/database/i)
    } finally {
      await postgres.start()
    }
    await expect.poll(async () => (await sendHttp()).status, { timeout: 5_000 }).toBe(200)
    expect(await before.say('MAIL FROM:<hello@acme.test>')).toMatch(/^250 /)
    expect((await fetch(`${gate.ready.admin}/readyz`)).status).toBe(200)
  })

  test('a gate cannot start, and says why in one line', async () => {
    await gate.stop()
    await postgres.kill()
    try {
      await expect(place.start('serve')).rejects.toThrow(/database/i)
    } finally {
      await postgres.start()
    }
  })
})

test('killed in the middle of traffic it leaves a store that the next one works with', async () => {
  const traffic = Array.from({ length: 20 }, () => sendHttp().catch(() => undefined))
  const changes = Array.from({ length: 3 }, (_, i) =>
    place.postern('token', 'create', '--name', `t${i}`, '--domain', 'acme.test:admin', '--json'),
  )
  await Promise.race(traffic)
  await gate.stop('SIGKILL')
  await Promise.all(traffic)
  const made = (await Promise.all(changes)).map(({ stdout }) => JSON.parse(stdout))
  gate = await place.start('serve')
  for (const { token: fresh } of made) expect((await sendHttp(fresh)).status).toBe(200)
  expect((await place.json('doctor')).ok).toBe(true)
})

test('on SIGTERM a request in flight is answered, a message in flight is handed over, and it ends with 0', async () => {
  const client = await smtpSession()
  await client.say(plain(token))
  await client.say('MAIL FROM:<hello@acme.test>')
  await client.say('RCPT TO:<you@example.net>')
  await client.say('DATA')
  client.write('From: hello@acme.test\r\n\r\nhalf of it\r\n')
  const body = JSON.stringify(message)
  const inFlight = request(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      'content-length': body.length,
      expect: '100-continue',
    },
  })
  inFlight.flushHeaders()
  // The credential was looked at: from here on the request is the gate's.
  await once(inFlight, 'continue')
  inFlight.write(body.slice(0, 20))

  const stopped = gate.stop('SIGTERM')
  const knock = () => fetch(`${gate.ready.http}/nowhere`).catch(() => 'refused')
  await expect.poll(knock).toBe('refused')
  inFlight.end(body.slice(20))
  const [answer] = await once(inFlight, 'response')
  expect(answer.statusCode).toBe(200)
  client.write('the rest\r\n.\r\n')
  expect(await client.reply()).toMatch(/^250 /)
  expect(await stopped).toBe(0)
  expect(sink.mailbox.list().map(({ protocol }) => protocol)).toEqual(['smtp', 'http'])
})
