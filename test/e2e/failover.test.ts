import pg from 'pg'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createLine, type Line } from '../helpers/line.ts'
import {
  createOutageBench,
  leaseMs,
  type OutageBench,
  probe,
  sendHttp,
} from '../helpers/outage-bench.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import type { RunningProgram } from '../helpers/program.ts'

/** A primary dies and its standby is promoted: the gates are led there, as by an address that moves. */

let primary: Postgres
let standby: Postgres
let line: Line
let bench: OutageBench
let gate: RunningProgram
let database: string

const recovery = { timeout: 15_000, interval: 50 }

beforeEach(async () => {
  primary = await startPostgres()
  const url = new URL(await primary.createDatabase())
  database = url.pathname
  line = await createLine({ host: '127.0.0.1', port: primary.port })
  url.port = String(line.port)
  bench = await createOutageBench({ POSTERN_DATABASE_URL: url.href })
  standby = await startPostgres({ standbyOf: { primary, name: 'a' } })
  gate = await bench.place.start('serve')
}, 300_000)
afterEach(async () => {
  await bench.close()
  await line.close()
  await standby.stop()
  await primary.stop()
})

/** The rows of the last statement. */
async function ask(server: Postgres, ...statements: string[]): Promise<unknown[]> {
  const client = new pg.Client({
    connectionString: `postgres://postgres@127.0.0.1:${server.port}${database}`,
  })
  await client.connect()
  try {
    let rows: unknown[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

async function promote() {
  await primary.kill()
  await ask(standby, 'select pg_promote()')
  line.lead({ host: '127.0.0.1', port: standby.port })
}

const statusOf = async (token: string) => (await sendHttp(gate, token)).status

test('with a synchronous standby a deletion that has answered survives the promotion, and the next change comes after the old leases', {
  timeout: 90_000,
}, async () => {
  await ask(
    primary,
    `alter system set synchronous_standby_names = 'ANY 1 (a)'`,
    'select pg_reload_conf()',
  )
  const kept = await bench.createToken()
  const deleted = await bench.createToken()
  expect(await statusOf(deleted.token)).toBe(200)
  await bench.place.json('token', 'delete', String(deleted.id))
  const [before] = await ask(primary, 'select era from revocation_clock')
  await promote()
  const readEra = async () => (await ask(standby, 'select era from revocation_clock'))[0]
  await expect.poll(readEra, recovery).not.toEqual(before)
  await expect.poll(() => statusOf(kept.token), recovery).toBe(200)
  expect(await statusOf(deleted.token)).toBe(401)
  const { receipt } = await bench.place.json('token', 'delete', String(kept.id))
  expect(receipt).toMatchObject({ propagation: 'confirmed' })
  expect(await statusOf(kept.token)).toBe(401)
  const age = 'cast(extract(epoch from clock_timestamp()) * 1000 as bigint) - era_at'
  const held = `select from revocation_clock where ${age} > ${leaseMs}`
  expect(await ask(standby, held)).toHaveLength(1)
})

test('a gate that is left with the primary that was deposed decides nothing once the new one has answered', {
  timeout: 90_000,
}, async () => {
  await ask(
    primary,
    `alter system set synchronous_standby_names = 'ANY 1 (a)'`,
    'select pg_reload_conf()',
  )
  const { id, token } = await bench.createToken()
  expect(await statusOf(token)).toBe(200)
  // The primary lives on, with the gate and without its standby.
  await ask(standby, 'select pg_promote()')
  bench.place.environment.POSTERN_DATABASE_URL = `postgres://postgres@127.0.0.1:${standby.port}${database}`
  const { receipt } = await bench.place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 0, fenced: 1 })
  expect(await statusOf(token)).toBe(503)
  await ask(
    primary,
    `select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'`,
  )
  expect(await statusOf(token)).toBe(503)
  line.lead({ host: '127.0.0.1', port: standby.port })
  await primary.kill()
  await expect.poll(() => statusOf(token), recovery).toBe(401)
})

test('a new era by hand is in force when it answers: after a whole hold, with every gate in it', {
  timeout: 60_000,
}, async () => {
  const { token } = await bench.createToken()
  expect(await statusOf(token)).toBe(200)
  const { era, receipt } = await bench.place.json('fleet', 'new-era')
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 0 })
  expect(receipt.ms).toBeGreaterThan(leaseMs)
  expect(await statusOf(token)).toBe(200)
  const [clock] = await ask(primary, 'select era from revocation_clock')
  expect(clock).toEqual({ era })
  expect(await bench.place.json('fleet', 'list')).toMatchObject([
    { fenced: false, hold_ms: leaseMs, applied_epoch: receipt.epoch },
  ])
})

test('changes that the promotion has lost leave no gate without a lease, though nobody makes a change', {
  timeout: 90_000,
}, async () => {
  const kept = await bench.createToken()
  const resurrected = await bench.createToken()
  const find = `select from tokens where id = ${resurrected.id}`
  await expect.poll(() => ask(standby, find), recovery).toHaveLength(1)
  await standby.kill()
  for (const name of ['one.test', 'two.test']) await bench.place.json('domain', 'add', name)
  await bench.place.json('token', 'delete', String(resurrected.id))
  expect(await statusOf(resurrected.token)).toBe(401)
  expect(await statusOf(kept.token)).toBe(200)
  await primary.kill()
  await standby.start()
  await promote()
  // Nobody makes a change. That the token is back is what an asynchronous standby costs.
  await expect.poll(() => statusOf(resurrected.token), recovery).toBe(200)
  expect(await statusOf(kept.token)).toBe(200)
  expect(await probe(gate, '/readyz')).toBe(200)
  const { receipt } = await bench.place.json('token', 'delete', String(resurrected.id))
  expect(receipt.propagation).toBe('confirmed')
  expect(await statusOf(resurrected.token)).toBe(401)
})
