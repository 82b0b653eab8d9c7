import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
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
import type { RunningProgram } from '../helpers/program.ts'
import { plain } from '../helpers/smtp-client.ts'

/** What stands behind the gate goes away: tokens are still judged, and nothing is said to be accepted that was not. */

let bench: OutageBench
let gate: RunningProgram
let token: string

beforeAll(async () => {
  bench = await createOutageBench()
  token = (await bench.createToken()).token
  gate = await bench.place.start('serve')
}, 60_000)
afterAll(() => bench.close())

beforeEach(async () => {
  expect((await sendHttp(gate, token)).status).toBe(200)
  expect(await sendSmtp(gate, token)).toMatch(/^250 /)
  bench.sink.mailbox.clear()
})

/** A token is judged as always, and the gate can be told to change. */
async function expectControlPlaneAsAlways() {
  expect(await probe(gate, '/readyz')).toBe(200)
  const { id, token: fresh } = await bench.createToken()
  const { receipt } = await bench.place.json('token', 'delete', String(id))
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 0 })
  expect((await sendHttp(gate, fresh)).status).toBe(401)
}

const badTokenOverSmtp = async () => (await openSession(gate)).say(plain(unknownToken()))

const emailApiOutages = [
  {
    row: outageRow('Email API stopped'),
    status: 502,
    begin: () => bench.emailApi.refuse(),
    end: () => bench.emailApi.accept(),
  },
  {
    row: outageRow('Email API hanging'),
    status: 504,
    begin: () => bench.emailApi.cut(),
    end: () => bench.emailApi.mend(),
  },
]

describe.each(emailApiOutages)('$row.gone', ({ row, status, begin, end }) => {
  beforeEach(begin)
  afterEach(end)

  test(`HTTP: ${row.http}`, async () => {
    expect((await sendHttp(gate, token)).status).toBe(status)
    expect((await sendHttp(gate, unknownToken())).status).toBe(401)
    await end()
    expect((await sendHttp(gate, token)).status).toBe(200)
    await begin()
  })

  test(`SMTP: ${row.smtp}`, async () => {
    expect(await sendSmtp(gate, token)).toMatch(/^250 /)
    expect(bench.sink.mailbox.list().map(({ protocol }) => protocol)).toEqual(['smtp'])
  })

  test(`control plane: ${row.control}`, expectControlPlaneAsAlways)
})

const relayOutages = [
  {
    row: outageRow('Relay stopped'),
    begin: () => bench.relay.refuse(),
    end: () => bench.relay.accept(),
  },
  {
    row: outageRow('Relay hanging'),
    begin: () => bench.relay.cut(),
    end: () => bench.relay.mend(),
  },
]

describe.each(relayOutages)('$row.gone', ({ row, begin, end }) => {
  beforeEach(begin)
  afterEach(end)

  test(`HTTP: ${row.http}`, async () => {
    expect((await sendHttp(gate, token)).status).toBe(200)
    expect(bench.sink.mailbox.list().map(({ protocol }) => protocol)).toEqual(['http'])
  })

  test(`SMTP: ${row.smtp}`, async () => {
    expect(await sendSmtp(gate, token)).toMatch(/^451 4\.4\.1 /)
    expect(await badTokenOverSmtp()).toMatch(/^535 5\.7\.8 /)
    expect(bench.sink.mailbox.list()).toEqual([])
    await end()
    expect(await sendSmtp(gate, token)).toMatch(/^250 /)
    await begin()
  })

  test(`control plane: ${row.control}`, expectControlPlaneAsAlways)
})
