import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { systemRandom } from '../../src/random.ts'
import { type Sink, startSink } from '../../src/sink/sink.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { type RedisGroup, startRedis } from '../helpers/redis.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** Three gates on one PostgreSQL and one Redis, and the command line beside them: real processes. */

let postgres: Postgres
let redis: RedisGroup
let sink: Sink
let place: Workplace
let gates: RunningProgram[]

beforeAll(async () => {
  const anyPort = { host: '127.0.0.1', port: 0 }
  ;[postgres, redis, sink] = await Promise.all([
    startPostgres(),
    startRedis(),
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
  await redis.stop()
  await postgres.stop()
})

beforeEach(async () => {
  place = createWorkplace({
    POSTERN_DATABASE_URL: await postgres.createDatabase(),
    POSTERN_REDIS_URL: redis.url,
    POSTERN_UPSTREAM_HTTP: sink.http,
    POSTERN_UPSTREAM_SMTP: `smtp://${sink.smtp}`,
    POSTERN_ALLOW_INSECURE_AUTH: 'true',
    POSTERN_SHUTDOWN_TIMEOUT_MS: '1000',
    POSTERN_LEASE_MS: '2000',
  })
  onTestFinished(() => place.remove())
  const sealKey = join(place.folder, 'seal.key')
  writeFileSync(sealKey, randomBytes(32).toString('base64'))
  place.environment.POSTERN_SEAL_KEY_FILE = sealKey
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  gates = await Promise.all([place.start('serve'), place.start('serve'), place.start('serve')])
  expect(new Set(gates.map(({ ready }) => ready.http)).size).toBe(3)
})

async function createToken(level = 'admin'): Promise<{ id: number; token: string }> {
  return place.json('token', 'create', '--name', 'x', '--domain', `acme.test:${level}`)
}

/** What each gate answers. */
function send(token: string): Promise<number[]> {
  return Promise.all(
    gates.map(async ({ ready }) => {
      const answer = await fetch(`${ready.http}/api/send`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({
          from: { email: 'hello@acme.test' },
          to: [{ email: 'you@example.net' }],
          subject: 'Hello',
          text: 'x',
        }),
      })
      await answer.arrayBuffer()
      return answer.status
    }),
  )
}

test('a deletion is confirmed by every gate, and from then on none accepts the token, open sessions included', async () => {
  const { id, token } = await createToken()
  expect(await send(token)).toEqual([200, 200, 200])
  const sessions = await Promise.all(gates.map(({ ready }) => connectSmtp(ready.smtp)))
  for (const session of sessions) {
    await session.say('EHLO client.test')
    expect(await session.say(plain(token))).toMatch(/^235 /)
  }
  const { receipt } = await place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 3, fenced: 0 })
  expect(await send(token)).toEqual([401, 401, 401])
  for (const session of sessions) {
    expect(await session.say('MAIL FROM:<hello@acme.test>')).toMatch(/^421 4\.7\.0 /)
  }
  const repeated = await place.json('token', 'delete', String(id))
  expect(repeated.receipt).toMatchObject({ propagation: 'confirmed', confirmed: 3 })
})

test('permissions that are narrowed and widened are so on every gate with the answer', async () => {
  const { id, token } = await createToken()
  for (const [level, status] of [
    ['viewer', 403],
    ['admin', 200],
  ] as const) {
    await send(token)
    const { receipt } = await place.json(
      'token',
      'permissions',
      String(id),
      '--domain',
      `acme.test:${level}`,
    )
    expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 3 })
    expect(await send(token)).toEqual([status, status, status])
  }
})

test('a domain that is added can be sent from on every gate, also where it was asked for before', async () => {
  const { token } = await place.json('token', 'create', '--name', 'all', '--account-level', 'admin')
  const ask = async () =>
    Promise.all(
      gates.map(async ({ ready }) => {
        const answer = await fetch(`${ready.http}/api/send`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({
            from: { email: 'a@new.test' },
            to: [{ email: 'b@c.test' }],
            subject: 'x',
            text: 'x',
          }),
        })
        return answer.status
      }),
    )
  expect(await ask()).toEqual([403, 403, 403])
  await place.json('domain', 'add', 'new.test')
  expect(await ask()).toEqual([200, 200, 200])
  await place.json('domain', 'remove', 'new.test')
  expect(await ask()).toEqual([403, 403, 403])
})

test('a gate that stands still is waited out, and decides nothing when it goes on', async () => {
  const { id, token } = await createToken()
  expect(await send(token)).toEqual([200, 200, 200])
  const stopped = gates[2]
  stopped?.process.kill('SIGSTOP')
  const { receipt } = await place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 1 })
  expect(receipt.ms).toBeGreaterThan(2_000)
  stopped?.process.kill('SIGCONT')
  const [one, two, three] = await send(token)
  expect([one, two]).toEqual([401, 401])
  expect([401, 503]).toContain(three)
  // It comes back as a new node, and is part of the next change.
  await expect.poll(async () => (await send(token))[2], { timeout: 5_000 }).toBe(401)
  const next = await createToken()
  expect(await send(next.token)).toEqual([200, 200, 200])
  expect((await place.json('token', 'delete', String(next.id))).receipt.confirmed).toBe(3)
})

test('a gate that is killed is waited out once, and not by the next change', async () => {
  const [first, second] = [await createToken(), await createToken()]
  await gates[2]?.stop('SIGKILL')
  const one = await place.json('token', 'delete', String(first.id))
  expect(one.receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 1 })
  const two = await place.json('token', 'delete', String(second.id))
  expect(two.receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 0 })
})

test('a gate that ends in order is not waited for', async () => {
  const { id } = await createToken()
  expect(await gates[2]?.stop()).toBe(0)
  const { receipt } = await place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 0 })
})
