import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createCertificate } from '../helpers/certificate.ts'
import {
  createOutageBench,
  type OutageBench,
  openSession,
  sendHttp,
  sendSmtp,
  storeLookups,
  unknownToken,
} from '../helpers/outage-bench.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import type { RunningProgram } from '../helpers/program.ts'
import { type RedisGroup, startRedis } from '../helpers/redis.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** What one client, token or account may take, in real gates. */

const message = {
  from: { email: 'hello@acme.test' },
  to: [{ email: 'you@example.net' }],
  subject: 'Hello',
  text: 'x',
}

async function post(
  gate: RunningProgram,
  token: string,
  { headers = {}, body = JSON.stringify(message) } = {},
) {
  const answer = await fetch(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body,
  })
  return {
    status: answer.status,
    retryAfter: answer.headers.get('retry-after'),
    body: await answer.json(),
  }
}

function writeCertificate(folder: string) {
  const { cert, key } = createCertificate()
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  writeFileSync(certFile, cert)
  writeFileSync(keyFile, key)
  return { POSTERN_TLS_CERT: certFile, POSTERN_TLS_KEY: keyFile }
}

describe('failed authentications', () => {
  let postgres: Postgres
  let redis: RedisGroup
  let bench: OutageBench
  const limit = 4

  beforeAll(async () => {
    ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
    bench = await createOutageBench({
      POSTERN_DATABASE_URL: await postgres.createDatabase(),
      POSTERN_REDIS_URL: redis.url,
      POSTERN_AUTH_FAILURE_LIMIT: `${limit}/1h`,
    })
  }, 300_000)
  afterAll(async () => {
    await bench.close()
    await redis.stop()
    await postgres.stop()
  })

  test('are one budget over both protocols and all gates, and keep no live token out', {
    timeout: 60_000,
  }, async () => {
    const [one, other] = await Promise.all([bench.place.start('serve'), bench.place.start('serve')])
    const [live, cold] = [await bench.createToken(), await bench.createToken()]
    expect((await sendHttp(one, live.token)).status).toBe(200)
    const bad = async () => (await openSession(one)).say(plain(unknownToken()))
    for (let i = 0; i < limit / 2; i++) {
      expect((await sendHttp(one, unknownToken())).status).toBe(401)
      expect(await bad()).toMatch(/^535 5\.7\.8 /)
    }
    expect(await post(one, unknownToken())).toEqual({
      status: 429,
      retryAfter: expect.stringMatching(/^[1-9]\d*$/),
      body: { success: false, errors: ['Too many failed authentications: try again later'] },
    })
    const session = await openSession(one)
    expect(await session.say(plain(unknownToken()))).toMatch(/^421 4\.7\.0 /)
    await session.ended()
    const api = await fetch(`${one.ready.admin}/api/accounts`, {
      headers: { authorization: `Bearer ${unknownToken()}` },
    })
    expect(api.status).toBe(429)

    // The other gate hears of it with its own first failures, long before these were enough.
    let failures = 0
    await expect
      .poll(async () => {
        failures += 1
        return (await sendHttp(other, unknownToken())).status
      })
      .toBe(429)
    expect(failures).toBeLessThan(limit)

    for (const { token } of [live, cold]) {
      for (const gate of [one, other]) {
        expect((await sendHttp(gate, token)).status).toBe(200)
        expect(await sendSmtp(gate, token)).toMatch(/^250 /)
      }
    }
  })

  test('cost the store nothing when their checksum is wrong, and little when they have none', {
    timeout: 60_000,
  }, async () => {
    const gate = await bench.place.start('serve')
    onTestFinished(() => void gate.stop())
    const { token } = await bench.createToken()
    expect((await sendHttp(gate, token)).status).toBe(200)
    const before = await storeLookups(gate)
    const misspelled = () => {
      const random = createHash('sha256').update(unknownToken()).digest('hex')
      return `pst_${random.slice(0, 36)}`
    }
    for (let i = 0; i < 50; i++) {
      expect((await sendHttp(gate, misspelled())).status).toBeOneOf([401, 429])
    }
    expect(await storeLookups(gate)).toBe(before)

    const startedAt = performance.now()
    const flood = Array.from({ length: 400 }, () => sendHttp(gate, unknownToken()))
    const good = Array.from({ length: 40 }, () => sendHttp(gate, token))
    const statuses = (await Promise.all(flood)).map(({ status }) => status)
    expect(new Set(statuses)).toEqual(new Set([429]))
    expect(new Set((await Promise.all(good)).map(({ status }) => status))).toEqual(new Set([200]))
    const seconds = Math.ceil((performance.now() - startedAt) / 1000)
    // Two places that rest 20 ms after each question, and those that were free at the start.
    expect((await storeLookups(gate)) - before).toBeLessThanOrEqual(100 * seconds + 2)
  })
})

describe('on one gate', () => {
  let bench: OutageBench
  beforeAll(async () => {
    bench = await createOutageBench()
  }, 60_000)
  afterAll(() => bench.close())

  async function startGate(settings: Record<string, string>) {
    const gate = await bench.place.start('serve', settings)
    onTestFinished(async () => {
      await gate.stop()
    })
    return gate
  }

  test('a token sends as often as its rate allows, over both protocols together, and others as always', {
    timeout: 30_000,
  }, async () => {
    const gate = await startGate({ POSTERN_TOKEN_RATE: '3/1h' })
    const [one, other] = [await bench.createToken(), await bench.createToken()]
    expect((await sendHttp(gate, one.token)).status).toBe(200)
    expect(await sendSmtp(gate, one.token)).toMatch(/^250 /)
    expect((await sendHttp(gate, one.token)).status).toBe(200)
    expect(await post(gate, one.token)).toEqual({
      status: 429,
      retryAfter: expect.stringMatching(/^[1-9]\d*$/),
      body: { success: false, errors: ['Rate limit exceeded'] },
    })
    expect(await sendSmtp(gate, one.token)).toMatch(/^451 4\.7\.0 Too many messages/)
    expect((await sendHttp(gate, other.token)).status).toBe(200)

    const changed = await bench.place.json('token', 'rate', String(one.id), '100/1h')
    expect(changed).toMatchObject({ rate: '100/1h', receipt: { propagation: 'confirmed' } })
    expect((await sendHttp(gate, one.token)).status).toBe(200)
    const successor = await bench.place.json('token', 'reset', String(one.id))
    expect(successor.rate).toBe('100/1h')
    await bench.place.json('token', 'rate', String(one.id), 'off')
    expect((await sendHttp(gate, one.token)).status).toBe(200)
    await bench.place.json('token', 'rate', String(one.id), 'usual')
    expect((await sendHttp(gate, one.token)).status).toBe(429)
    const wrong = await bench.place.postern('token', 'rate', String(one.id), 'often')
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringContaining('300/10s') })
  })

  test('a client and an account have so many SMTP connections, and get them back', async () => {
    const gate = await startGate({ POSTERN_CONNECTION_LIMIT: 'address:3,account:2' })
    const { token } = await bench.createToken()
    const sessions = [await openSession(gate), await openSession(gate), await openSession(gate)]
    const late = await connectSmtp(gate.ready.smtp)
    expect(late.greeting).toMatch(/^421 4\.7\.0 Too many connections/)
    await late.ended()
    for (const session of sessions.slice(0, 2))
      expect(await session.say(plain(token))).toMatch(/^235/)
    expect(await sessions[2]?.say(plain(token))).toMatch(/^421 4\.7\.0 Too many connections/)
    await sessions[2]?.ended()
    await sessions[0]?.say('QUIT')
    await sessions[0]?.ended()
    // The gate sees that they are gone a moment later than they do.
    await expect.poll(tryAgain, { timeout: 5_000 }).toMatch(/^235 /)
    async function tryAgain() {
      const again = await connectSmtp(gate.ready.smtp)
      if (!again.greeting.startsWith('220')) return again.greeting
      await again.say('EHLO client.test')
      return again.say(plain(token))
    }
    const metrics = await (await fetch(`${gate.ready.admin}/metrics`)).text()
    expect(metrics).toMatch(/postern_limited_total\{limit="client-connections"\} [1-9]/)
    expect(metrics).toMatch(/postern_limited_total\{limit="account-connections"\} [1-9]/)
  })

  test('who changes to TLS, and signs in anew there, leaves no seat taken', async () => {
    const certificate = writeCertificate(bench.place.folder)
    const limits = { POSTERN_CONNECTION_LIMIT: 'address:1,account:1' }
    const gate = await startGate({ ...certificate, ...limits })
    const { token } = await bench.createToken()
    async function signInTwice() {
      const session = await connectSmtp(gate.ready.smtp)
      if (!session.greeting.startsWith('220')) return session.greeting
      await session.say('EHLO client.test')
      expect(await session.say(plain(token))).toMatch(/^235 /)
      expect(await session.say('STARTTLS')).toMatch(/^220 /)
      await session.upgrade()
      await session.say('EHLO client.test')
      const reply = await session.say(plain(token))
      session.socket().destroy()
      return reply
    }
    expect(await signInTwice()).toMatch(/^235 /)
    await expect.poll(signInTwice, { timeout: 5_000 }).toMatch(/^235 /)
    // A timer that was left would keep the process.
    expect(await gate.stop()).toBe(0)
  })

  test('clients that break off while they are answered over TLS leave no seat taken', {
    timeout: 60_000,
  }, async () => {
    const seats = 20
    const gate = await startGate({
      ...writeCertificate(bench.place.folder),
      POSTERN_CONNECTION_LIMIT: `address:${seats}`,
    })
    const { token } = await bench.createToken()
    async function breakOff() {
      const session = await connectSmtp(gate.ready.smtp)
      if (!session.greeting.startsWith('220')) return
      const raw = session.socket()
      await session.say('EHLO client.test')
      await session.say('STARTTLS')
      await session.upgrade()
      session.write(`EHLO client.test\r\n${plain(token)}\r\n`)
      // Its bytes are on their way, and the reset is behind them.
      setImmediate(() => raw.resetAndDestroy())
    }
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: seats }, () => breakOff().catch(() => {})))
    }
    async function greetings() {
      const sessions = await Promise.all(
        Array.from({ length: seats }, () => connectSmtp(gate.ready.smtp)),
      )
      for (const session of sessions) session.socket().destroy()
      return sessions.filter(({ greeting }) => greeting.startsWith('220')).length
    }
    await expect.poll(greetings, { timeout: 10_000, interval: 500 }).toBe(seats)
  })

  test('who never finishes a handshake has a seat as well, and not for long', {
    timeout: 60_000,
  }, async () => {
    const gate = await startGate({
      ...writeCertificate(bench.place.folder),
      POSTERN_SMTPS_LISTEN: '127.0.0.1:0',
      POSTERN_CONNECTION_LIMIT: 'address:2',
    })
    const { smtps } = gate.ready
    const [host, port] = smtps.split(':')
    const knock = (bytes = '') => {
      const socket = connect({ host, port: Number(port) }).on('error', () => {})
      socket.write(bytes)
      return { socket, closed: once(socket.resume(), 'close') }
    }
    const patient = await connectSmtp(smtps, { implicitTls: true })
    expect(patient.greeting).toMatch(/^220 /)
    // The first bytes of a TLS record (RFC 8446 §5.1).
    const unfinished = knock('\x16\x03\x01')
    await once(unfinished.socket, 'connect')
    await knock().closed
    const trickle = setInterval(() => unfinished.socket.write('\x02'), 1_000)
    await unfinished.closed
    clearInterval(trickle)
    await expect
      .poll(() => connectSmtp(smtps, { implicitTls: true }).catch(() => undefined))
      .toMatchObject({ greeting: expect.stringMatching(/^220 /) })
    expect(await patient.say('NOOP')).toMatch(/^250 /)
  })

  test('bodies beyond the memory for them hear 503 and nothing of them is sent on', async () => {
    const megabyte = 1 << 20
    const gate = await startGate({
      POSTERN_MAX_BODY_BYTES: String(megabyte),
      POSTERN_BODY_MEMORY_BYTES: String(megabyte),
    })
    const { token } = await bench.createToken()
    bench.sink.mailbox.clear()
    const { hostname, port } = new URL(gate.ready.http)
    const text = JSON.stringify({ ...message, text: 'x'.repeat(700_000) })
    const slow = request({
      hostname,
      port,
      method: 'POST',
      path: '/api/send',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
    const answered = new Promise<number | undefined>((resolve) =>
      slow.once('response', (response) => resolve(response.resume().statusCode)),
    )
    slow.write(text.slice(0, -1))
    await expect.poll(memoryHeld, { timeout: 5_000 }).toBe(text.length - 1)
    expect(await post(gate, token, { body: text })).toMatchObject({ status: 503, retryAfter: '2' })
    const before = bench.sink.mailbox.list().length
    expect((await post(gate, token)).status).toBe(200)
    expect(bench.sink.mailbox.list()).toHaveLength(before + 1)
    slow.end(text.slice(-1))
    expect(await answered).toBe(200)
    await expect.poll(memoryHeld).toBe(0)
    expect((await post(gate, token, { body: text })).status).toBe(200)

    async function memoryHeld() {
      const page = await (await fetch(`${gate.ready.admin}/metrics`)).text()
      return Number(/^postern_body_memory_bytes (\d+)/m.exec(page)?.[1])
    }
  })

  test('a trusted proxy tells where the client is, in both protocols; nobody else does', async () => {
    const trusting = { POSTERN_TRUSTED_PROXIES: '127.0.0.0/8', POSTERN_AUTH_FAILURE_LIMIT: '1/1h' }
    const gate = await startGate(trusting)
    const { token } = await bench.createToken()
    const from = (address: string, bearer = unknownToken()) =>
      post(gate, bearer, {
        headers: { 'x-forwarded-for': `192.0.2.66, ${address}`, 'x-forwarded-proto': 'https' },
      })
    expect((await from('203.0.113.1')).status).toBe(401)
    expect((await from('203.0.113.1')).status).toBe(429)
    expect((await from('198.51.100.1')).status).toBe(401)

    const proxied = (address: string) =>
      connectSmtp(gate.ready.smtp, { preamble: `PROXY TCP4 ${address} 127.0.0.1 4711 25\r\n` })
    const spent = await proxied('203.0.113.1')
    await spent.say('EHLO client.test')
    expect(await spent.say(plain(unknownToken()))).toMatch(/^421 4\.7\.0 /)

    bench.sink.mailbox.clear()
    const fresh = await proxied('198.51.100.77')
    await fresh.say('EHLO client.test')
    expect(await fresh.say(plain(token))).toMatch(/^235 /)
    await fresh.say('MAIL FROM:<hello@acme.test>')
    await fresh.say('RCPT TO:<you@example.net>')
    await fresh.say('DATA')
    expect(await fresh.say('From: hello@acme.test\r\n\r\nx\r\n.')).toMatch(/^250 /)
    expect((await from('198.51.100.77', token)).status).toBe(200)
    const [overHttp, overSmtp] = bench.sink.mailbox.list().map((mail) => JSON.stringify(mail))
    expect([overHttp, overSmtp].join()).toContain('198.51.100.77')

    const strict = await startGate({ POSTERN_AUTH_FAILURE_LIMIT: '1/1h' })
    const forged = (address: string) =>
      post(strict, unknownToken(), { headers: { 'x-forwarded-for': address } })
    expect((await forged('203.0.113.1')).status).toBe(401)
    expect((await forged('203.0.113.2')).status).toBe(429)
    const liar = await connectSmtp(strict.ready.smtp, {
      preamble: 'PROXY TCP4 203.0.113.3 127.0.0.1 4711 25\r\n',
    })
    expect(liar.greeting).toMatch(/^421 /)
  })
})
