import { createServer, type Server, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { digestToken } from '../../src/core/token.ts'
import { listen } from '../../src/sink/listen.ts'
import { createLine, type Line } from '../helpers/line.ts'
import {
  createOutageBench,
  type OutageBench,
  openSession,
  probe,
  sendHttp,
  sendSmtp,
  unknownToken,
} from '../helpers/outage-bench.ts'
import { outageRow } from '../helpers/outage-table.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import type { RunningProgram } from '../helpers/program.ts'
import { type RedisGroup, type RedisServer, startRedis } from '../helpers/redis.ts'
import { plain } from '../helpers/smtp-client.ts'

/** Two gates share a Redis, and it fails them: nothing that they answer is different. */

let postgres: Postgres
let redis: RedisGroup
let server: RedisServer
let nonsense: Server
let line: Line
let bench: OutageBench
let gates: RunningProgram[]

beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  const [only] = redis.servers
  if (only === undefined) throw new Error('no Redis')
  server = only
  nonsense = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.on('data', () => socket.write('nonsense\r\n'))
  })
  await listen(nonsense, { host: '127.0.0.1', port: 0 })
  line = await createLine({ host: '127.0.0.1', port: server.port })
  const url = new URL(redis.url)
  url.port = String(line.port)
  bench = await createOutageBench({
    POSTERN_DATABASE_URL: await postgres.createDatabase(),
    POSTERN_REDIS_URL: url.href,
  })
  gates = await Promise.all([bench.place.start('serve'), bench.place.start('serve')])
}, 300_000)
afterAll(async () => {
  await bench.close()
  await line.close()
  nonsense.close()
  await redis.stop()
  await postgres.stop()
})

const statuses = (token: string) =>
  Promise.all(gates.map(async (gate) => (await sendHttp(gate, token)).status))

/** A token that both gates have met, and Redis with them: it is in use, after whatever was before. */
async function knownToken() {
  let known = { id: 0, token: '' }
  await expect
    .poll(
      async () => {
        known = await bench.createToken()
        expect(await statuses(known.token)).toEqual([200, 200])
        return redis.client().keys(`*:token:${digestToken(known.token)}`)
      },
      { timeout: 20_000, interval: 200 },
    )
    .toHaveLength(1)
  return known
}

async function expectHttpAsAlways(known: string) {
  const { token } = await bench.createToken()
  expect(await statuses(known)).toEqual([200, 200])
  expect(await statuses(token)).toEqual([200, 200])
  expect(await statuses(unknownToken())).toEqual([401, 401])
}

async function expectSmtpAsAlways(known: string) {
  const { token } = await bench.createToken()
  for (const gate of gates) {
    expect(await sendSmtp(gate, known)).toMatch(/^250 /)
    expect(await sendSmtp(gate, token)).toMatch(/^250 /)
    const session = await openSession(gate)
    expect(await session.say(plain(unknownToken()))).toMatch(/^535 5\.7\.8 /)
  }
}

async function expectControlPlaneAsAlways(known: { id: number; token: string }) {
  for (const gate of gates) expect(await probe(gate, '/readyz')).toBe(200)
  const { receipt } = await bench.place.json('token', 'delete', String(known.id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 2, fenced: 0 })
  expect(await statuses(known.token)).toEqual([401, 401])
}

/** What `begin` returns mends what it did. */
const outages: readonly {
  readonly row: ReturnType<typeof outageRow>
  begin(): Promise<() => unknown>
}[] = [
  {
    row: outageRow('Redis stopped'),
    async begin() {
      await server.kill()
      return () => server.start()
    },
  },
  {
    row: outageRow('Redis hanging'),
    async begin() {
      server.pause()
      return () => server.resume()
    },
  },
  {
    row: outageRow('Redis answering nonsense'),
    async begin() {
      const address = nonsense.address()
      if (address === null || typeof address === 'string') throw new Error('no port')
      await line.refuse()
      line.lead({ host: '127.0.0.1', port: address.port })
      await line.accept()
      return async () => {
        await line.refuse()
        line.lead({ host: '127.0.0.1', port: server.port })
        await line.accept()
      }
    },
  },
  {
    row: outageRow('Redis flushed'),
    async begin() {
      await redis.client().flushall()
      return () => {}
    },
  },
]

describe.each(outages)('$row.gone', ({ row, begin }) => {
  async function stage() {
    const known = await knownToken()
    const mend = await begin()
    onTestFinished(async () => {
      await mend()
    })
    return known
  }
  test(`HTTP: ${row.http}`, async () => expectHttpAsAlways((await stage()).token))
  test(`SMTP: ${row.smtp}`, async () => expectSmtpAsAlways((await stage()).token))
  test(`control plane: ${row.control}`, async () => expectControlPlaneAsAlways(await stage()))
})

const old = outageRow('Redis restarted with old data')
describe(old.gone, () => {
  /** A token that was deleted, and that Redis has in its old data. */
  async function resurrect() {
    const known = await knownToken()
    await redis.client().save()
    await bench.place.json('token', 'delete', String(known.id))
    await redis.client().flushall()
    await server.kill()
    await server.start()
    expect(await redis.client().keys(`*:token:${digestToken(known.token)}`)).toHaveLength(1)
    // A gate that has just started knows nothing of its own.
    const fresh = await bench.place.start('serve')
    onTestFinished(async () => {
      await fresh.stop()
    })
    gates.push(fresh)
    onTestFinished(() => {
      gates.pop()
    })
    return known
  }

  test(`HTTP: ${old.http}`, async () => {
    const { token } = await resurrect()
    expect(await statuses(token)).toEqual([401, 401, 401])
  })
  test(`SMTP: ${old.smtp}`, async () => {
    const { token } = await resurrect()
    for (const gate of gates) {
      const session = await openSession(gate)
      expect(await session.say(plain(token))).toMatch(/^535 5\.7\.8 /)
    }
  })
  test(`control plane: ${old.control}`, async () => {
    await resurrect()
    const { id, token } = await bench.createToken()
    expect(await statuses(token)).toEqual([200, 200, 200])
    const { receipt } = await bench.place.json('token', 'delete', String(id))
    expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 3, fenced: 0 })
    expect(await statuses(token)).toEqual([401, 401, 401])
  })
})

test('a Redis that is back is used again, without a restart', async () => {
  await knownToken()
  await server.kill()
  expect(await statuses((await bench.createToken()).token)).toEqual([200, 200])
  await server.start()
  await knownToken()
})
