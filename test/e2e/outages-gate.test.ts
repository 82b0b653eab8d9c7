import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createLine, type Line } from '../helpers/line.ts'
import {
  createOutageBench,
  leaseMs,
  type OutageBench,
  openSession,
  probe,
  sendHttp,
  sendSmtp,
} from '../helpers/outage-bench.ts'
import { outageRow } from '../helpers/outage-table.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import type { RunningProgram } from '../helpers/program.ts'
import { plain } from '../helpers/smtp-client.ts'

/** One of two gates goes away: the other decides as always, and a change waits once for the lease of the first. */

let postgres: Postgres
let line: Line
let bench: OutageBench
let lost: RunningProgram
let other: RunningProgram
let token: { id: number; token: string }
/** Made before anything goes away: the commands take their time, and a gate that is silent for long is forgotten. */
let spare: readonly { id: number; token: string }[]

const recovery = { timeout: 15_000, interval: 50 }

beforeAll(async () => {
  postgres = await startPostgres()
}, 300_000)
afterAll(() => postgres.stop())

beforeEach(async () => {
  const direct = await postgres.createDatabase()
  const { hostname, port } = new URL(direct)
  line = await createLine({ host: hostname, port: Number(port) })
  bench = await createOutageBench({ POSTERN_DATABASE_URL: direct })
  onTestFinished(async () => {
    await bench.close()
    await line.close()
  })
  const cuttable = new URL(direct)
  cuttable.port = String(line.port)
  ;[lost, other] = await Promise.all([
    bench.place.start('serve', { POSTERN_DATABASE_URL: cuttable.href }),
    bench.place.start('serve'),
  ])
  ;[token, ...spare] = [
    await bench.createToken(),
    await bench.createToken(),
    await bench.createToken(),
  ]
  for (const gate of [lost, other]) expect((await sendHttp(gate, token.token)).status).toBe(200)
})

async function expectOtherAsAlways() {
  expect((await sendHttp(other, token.token)).status).toBe(200)
  expect(await sendSmtp(other, token.token)).toMatch(/^250 /)
  expect(await probe(other, '/readyz')).toBe(200)
}

/** The deletion waits for the lost gate's lease; the next change does not wait again. */
async function expectOneWait() {
  const [first, second] = spare
  const one = await bench.place.json('token', 'delete', String(first?.id))
  expect(one.receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 1 })
  expect(one.receipt.ms).toBeGreaterThan(leaseMs / 2)
  const two = await bench.place.json('token', 'delete', String(second?.id))
  expect(two.receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 0 })
}

/** The names under which gates may decide. */
async function members(): Promise<Set<string>> {
  const nodes: { incarnation: string; fenced: boolean }[] = await bench.place.json('fleet', 'list')
  return new Set(nodes.filter(({ fenced }) => !fenced).map(({ incarnation }) => incarnation))
}

const refused = (gate: RunningProgram) =>
  sendHttp(gate, token.token).then(
    ({ status }) => String(status),
    (error) => error.cause?.code,
  )

const killed = outageRow('A gate killed')
describe(killed.gone, () => {
  beforeEach(() => lost.stop('SIGKILL'))

  test(`HTTP: ${killed.http}`, async () => {
    expect(await refused(lost)).toBe('ECONNREFUSED')
    await expectOtherAsAlways()
  })
  test(`SMTP: ${killed.smtp}`, async () => {
    await expect(openSession(lost)).rejects.toThrow()
    expect(await sendSmtp(other, token.token)).toMatch(/^250 /)
  })
  test(`control plane: ${killed.control}`, { timeout: 30_000 }, expectOneWait)
})

const stopped = outageRow('A gate stopped (SIGSTOP, a frozen machine)')
describe(stopped.gone, () => {
  /** Deleted while it stood still, and confirmed. */
  async function deleteMeanwhile() {
    lost.process.kill('SIGSTOP')
    const { receipt } = await bench.place.json('token', 'delete', String(token.id))
    expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 1 })
  }

  test(`HTTP: ${stopped.http}`, async () => {
    await deleteMeanwhile()
    const waiting = sendHttp(lost, token.token)
    lost.process.kill('SIGCONT')
    expect([401, 503]).toContain((await waiting).status)
    await expect.poll(() => sendHttp(lost, token.token), recovery).toMatchObject({ status: 401 })
    const fresh = await bench.createToken()
    expect((await sendHttp(lost, fresh.token)).status).toBe(200)
  })
  test(`SMTP: ${stopped.smtp}`, async () => {
    const session = await openSession(lost)
    expect(await session.say(plain(token.token))).toMatch(/^235 /)
    await deleteMeanwhile()
    const waiting = session.say('MAIL FROM:<hello@acme.test>')
    lost.process.kill('SIGCONT')
    expect(await waiting).toMatch(/^(454 4\.7\.0|421 4\.7\.0) /)
  })
  test(`control plane: ${stopped.control}`, { timeout: 30_000 }, async () => {
    const before = await members()
    lost.process.kill('SIGSTOP')
    await expectOneWait()
    lost.process.kill('SIGCONT')
    await expect.poll(() => probe(lost, '/readyz'), recovery).toBe(200)
    const after = await members()
    expect(after.size).toBe(2)
    expect(after.intersection(before).size).toBe(1)
  })
})

const cutOff = outageRow('A gate cut off from its database')
describe(cutOff.gone, () => {
  beforeEach(() => line.cut())

  test(`HTTP: ${cutOff.http}`, async () => {
    await expect.poll(() => sendHttp(lost, token.token), recovery).toMatchObject({ status: 503 })
    await expectOtherAsAlways()
    line.mend()
    await expect.poll(() => sendHttp(lost, token.token), recovery).toMatchObject({ status: 200 })
  })
  test(`SMTP: ${cutOff.smtp}`, async () => {
    await expect.poll(() => sendSmtp(lost, token.token), recovery).toMatch(/^454 4\.7\.0 /)
    expect(await sendSmtp(other, token.token)).toMatch(/^250 /)
  })
  test(`control plane: ${cutOff.control}`, { timeout: 30_000 }, async () => {
    await expectOneWait()
    expect(await probe(lost, '/readyz')).toBe(503)
    expect(await probe(other, '/readyz')).toBe(200)
  })
})
