import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { systemRandom } from '../../src/random.ts'
import { type Sink, startSink } from '../../src/sink/sink.ts'
import { type Answer, type Ask, createApiClient, json } from '../helpers/api-client.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'
import { startResolver, type TestResolver } from '../helpers/resolver.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'

/** Accounts that add domains themselves: two gates on one PostgreSQL, and a real resolver that the test tells what to say. */

let postgres: Postgres
let sink: Sink
let resolver: TestResolver
let place: Workplace

/** Nothing is looked at by itself in a test. */
const oneHour = '3600000'

beforeAll(async () => {
  const anyPort = { host: '127.0.0.1', port: 0 }
  const system = { clock: systemClock, random: systemRandom }
  ;[postgres, sink, resolver] = await Promise.all([
    startPostgres(),
    startSink({ httpListen: anyPort, smtpListen: anyPort, ...system }),
    startResolver(),
  ])
}, 300_000)
afterAll(async () => {
  await resolver.stop()
  await sink.close()
  await postgres.stop()
})

beforeEach(async () => {
  await resolver.publish({})
  place = createWorkplace({
    POSTERN_DATABASE_URL: await postgres.createDatabase(),
    POSTERN_UPSTREAM_HTTP: sink.http,
    POSTERN_UPSTREAM_SMTP: `smtp://${sink.smtp}`,
    POSTERN_ALLOW_INSECURE_AUTH: 'true',
    POSTERN_SHUTDOWN_TIMEOUT_MS: '1000',
    POSTERN_LEASE_MS: '2000',
    POSTERN_DNS_RESOLVERS: resolver.address,
    POSTERN_DOMAIN_CHECK_MS: oneHour,
  })
  onTestFinished(() => place.remove())
  const sealKey = join(place.folder, 'seal.key')
  writeFileSync(sealKey, randomBytes(32).toString('base64'))
  place.environment.POSTERN_SEAL_KEY_FILE = sealKey
})

interface Customer {
  readonly token: string
  readonly ask: Ask
}

/** An account with a token that administers it. */
async function createCustomer(gate: RunningProgram, name: string): Promise<Customer> {
  const { id } = await place.json('account', 'create', name)
  const call = ['token', 'create', '--account', String(id), '--name', 'Boss']
  const { token } = await place.json(...call, '--account-level', 'admin')
  return { token, ask: (await createApiClient(gate.ready.admin, token)).ask }
}

const add = async ({ ask }: Customer, name: string): Promise<Answer['body']> => {
  const answer = await ask('POST', '/api/domains', json({ domain: { domain_name: name } }))
  expect(answer.status).toBe(200)
  return answer.body
}
const verify = ({ ask }: Customer, id: number) => ask('POST', `/api/domains/${id}/verify`)

/** Puts the record of a domain into the DNS, as its owner would copy it. */
function publish(...domains: { dns_records: { domain: string; value: string }[] }[]) {
  const records = domains.flatMap(({ dns_records }) => dns_records)
  return resolver.publish({ txt: records.map(({ domain, value }) => [domain, value] as const) })
}

async function sendOverHttp({ ready }: RunningProgram, { token }: Customer, domain: string) {
  const answer = await fetch(`${ready.http}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      from: { email: `hello@${domain}` },
      to: [{ email: 'you@example.net' }],
      subject: 'Hello',
      text: 'x',
    }),
  })
  await answer.arrayBuffer()
  return answer.status
}

/** The code that MAIL FROM is answered with. */
async function sendOverSmtp({ ready }: RunningProgram, { token }: Customer, domain: string) {
  const session = await connectSmtp(ready.smtp)
  await session.say('EHLO client.test')
  expect(await session.say(plain(token))).toMatch(/^235 /)
  const reply = await session.say(`MAIL FROM:<hello@${domain}>`)
  session.socket().destroy()
  return Number(reply.slice(0, 3))
}

test('a domain is sent from when it is proven, and not before: in both protocols, on every gate, with the answer', async () => {
  const gates = await Promise.all([place.start('serve'), place.start('serve')])
  const customer = await createCustomer(gates[0], 'Acme')
  const send = () =>
    Promise.all(
      gates.flatMap((gate) => [
        sendOverHttp(gate, customer, 'acme.test'),
        sendOverSmtp(gate, customer, 'acme.test'),
      ]),
    )
  const added = await add(customer, 'acme.test')
  const [record] = added.dns_records
  expect(added).toMatchObject({
    dns_verified: false,
    dns_verified_at: '',
    compliance_status: 'unverified_dns',
    dns_records: [
      {
        key: 'verification',
        domain: '_postern-challenge.acme.test',
        type: 'TXT',
        value: expect.stringMatching(/^postern-verification=[0-9a-f]{32}$/),
        status: 'unchecked',
        name: '_postern-challenge',
      },
    ],
  })
  expect(await send()).toEqual([403, 550, 403, 550])

  const early = await verify(customer, added.id)
  const looked = { domain: record.domain, type: 'TXT', value: record.value }
  expect(early).toMatchObject({
    status: 200,
    body: {
      dns_verified: false,
      dns_records: [{ ...record, status: 'missing' }],
      verification: { ...looked, status: 'missing', found: [], resolver: resolver.address },
    },
  })
  expect(early.headers.get('postern-revocation')).toBeNull()

  await resolver.publish({ txt: [[record.domain, `${record.value}0`]] })
  expect((await verify(customer, added.id)).body).toMatchObject({
    dns_verified: false,
    dns_records: [{ ...record, status: 'fail' }],
    verification: { status: 'fail', found: [`${record.value}0`] },
  })
  expect(await send()).toEqual([403, 550, 403, 550])

  // Long records come in pieces, and nobody has a name for himself.
  const cut = record.value.length / 2
  const pieces = [record.value.slice(0, cut), record.value.slice(cut)] as const
  await resolver.publish({
    txt: [
      ['delegated.example', 'v=spf1 -all'],
      ['delegated.example', ...pieces],
    ],
    cname: [[record.domain, 'delegated.example']],
  })
  const done = await verify(customer, added.id)
  expect(done).toMatchObject({
    status: 200,
    body: {
      dns_verified: true,
      dns_verified_at: expect.stringMatching(/Z$/),
      compliance_status: 'compliant',
      dns_records: [{ ...record, status: 'pass' }],
      verification: { ...looked, status: 'pass', resolver: resolver.address },
    },
  })
  expect(done.headers.get('postern-revocation')).toMatch(/confirmed=2, fenced=0/)
  expect(await send()).toEqual([200, 250, 200, 250])

  await resolver.stop()
  const repeated = await verify(customer, added.id)
  expect(repeated).toMatchObject({ status: 200, body: { verification: null } })
  expect(repeated.headers.get('postern-revocation')).toMatch(/confirmed=2, fenced=0/)
  expect(await send()).toEqual([200, 250, 200, 250])
}, 60_000)

test('while the DNS does not answer it cannot be found out, in either generation of paths', async () => {
  const gate = await place.start('serve')
  const customer = await createCustomer(gate, 'Acme')
  const added = await add(customer, 'acme.test')
  await publish(added)
  await resolver.stop()
  for (const path of ['/api/domains', '/api/accounts/1/sending_domains']) {
    const answer = await customer.ask('POST', `${path}/${added.id}/verify`)
    expect(answer).toMatchObject({
      status: 503,
      body: {
        error: `The DNS does not answer for _postern-challenge.acme.test (ECONNREFUSED from ${resolver.address}): try again`,
      },
    })
    expect(answer.headers.get('retry-after')).toBe('2')
  }
  const { body } = await customer.ask('GET', `/api/domains/${added.id}`)
  expect(body.dns_records).toMatchObject([{ status: 'network_error' }])
  await publish(added)
  const answer = await customer.ask('POST', `/api/accounts/1/sending_domains/${added.id}/verify`)
  expect(answer).toMatchObject({ status: 200, body: { dns_verified: true } })
})

test('an account that claims a name keeps nobody out who can prove it, and is told nothing of him', async () => {
  const gate = await place.start('serve')
  const [squatter, owner] = [
    await createCustomer(gate, 'Squatter'),
    await createCustomer(gate, 'Owner'),
  ]
  const claim = await add(squatter, 'acme.test')
  const own = await add(owner, 'acme.test')
  expect(own.dns_records[0].value).not.toBe(claim.dns_records[0].value)
  const twice = await owner.ask(
    'POST',
    '/api/domains',
    json({ domain: { domain_name: 'acme.test' } }),
  )
  expect(twice).toMatchObject({
    status: 422,
    body: { errors: { base: ['Domain name has already been taken'] } },
  })

  const question = json({ token: owner.token, from: 'hello@acme.test' })
  const { body: explained } = await owner.ask('POST', '/api/explain', question)
  expect(explained).toMatchObject({ allowed: false, reason: 'unverified-domain' })

  await publish(own)
  expect((await verify(squatter, claim.id)).body).toMatchObject({
    dns_verified: false,
    verification: { status: 'fail' },
  })
  expect((await verify(squatter, own.id)).status).toBe(404)
  expect((await verify(owner, own.id)).body).toMatchObject({ dns_verified: true })
  expect(await sendOverHttp(gate, owner, 'acme.test')).toBe(200)
  expect(await sendOverHttp(gate, squatter, 'acme.test')).toBe(403)

  // Whoever has the DNS in his hands for an hour takes nothing from the account that has the domain.
  await publish(claim)
  expect(await verify(squatter, claim.id)).toMatchObject({
    status: 422,
    body: { errors: { base: ['Domain name has already been taken'] } },
  })
  expect(await sendOverHttp(gate, owner, 'acme.test')).toBe(200)

  // When he gives it back, it is free for the next proof.
  expect((await owner.ask('DELETE', `/api/domains/${own.id}`)).status).toBe(204)
  expect((await verify(squatter, claim.id)).body).toMatchObject({ dns_verified: true })
  expect(await sendOverHttp(gate, squatter, 'acme.test')).toBe(200)
})

test('a record that is set later is found without anybody asking', async () => {
  const gate = await place.start('serve', { POSTERN_DOMAIN_CHECK_MS: '100' })
  const customer = await createCustomer(gate, 'Acme')
  const added = await add(customer, 'acme.test')
  const read = async () => (await customer.ask('GET', `/api/domains/${added.id}`)).body
  await expect.poll(async () => (await read()).dns_records[0].status).toBe('missing')
  expect(await sendOverHttp(gate, customer, 'acme.test')).toBe(403)
  await publish(added)
  await expect.poll(async () => (await read()).dns_verified, { timeout: 15_000 }).toBe(true)
  await expect.poll(() => sendOverHttp(gate, customer, 'acme.test')).toBe(200)
  const { body: events } = await customer.ask('GET', '/api/audit_events')
  expect(JSON.stringify(events)).toContain('domain.verified')
  expect(await gate.stop()).toBe(0)
})

test('the operator sees what is claimed, has it looked for, or vouches for it', async () => {
  const gate = await place.start('serve')
  const [one, two] = [await createCustomer(gate, 'One'), await createCustomer(gate, 'Two')]
  const [first, second] = [await add(one, 'acme.test'), await add(two, 'acme.test')]
  const table = await place.postern('domain', 'list')
  expect(table.stdout.match(/acme\.test +\d +pending \(unchecked\)/g)).toHaveLength(2)

  const unclear = await place.postern('domain', 'verify', 'acme.test')
  expect(unclear).toMatchObject({ status: 1 })
  expect(unclear.stderr).toContain(`several accounts claim acme.test: name one of the domains`)
  expect((await place.postern('domain', 'remove', 'acme.test')).status).toBe(1)

  const missing = await place.postern('domain', 'verify', String(first.id), '--json')
  expect(missing.status).toBe(1)
  const [record] = first.dns_records
  expect(JSON.parse(missing.stdout)).toMatchObject({
    state: 'pending',
    verified_at: null,
    dns_record: { name: record.domain, value: record.value, status: 'missing' },
    verification: { name: record.domain, found: [], resolver: resolver.address, trouble: null },
    receipt: null,
  })

  await publish(first)
  const found = await place.postern('domain', 'verify', String(first.id))
  expect(found).toMatchObject({ status: 0, stderr: '' })
  expect(found.stdout).toContain(`${record.domain} TXT "${record.value}"`)
  expect(found.stdout).toContain('the domain is verified')
  expect(found.stdout).toContain('In force on every node')
  expect(await sendOverHttp(gate, one, 'acme.test')).toBe(200)

  const late = await place.postern('domain', 'verify', String(second.id), '--force')
  expect(late).toMatchObject({ status: 1 })
  expect(late.stderr).toContain('acme.test belongs to an account already')
  await place.json('domain', 'remove', String(first.id))
  await resolver.stop()
  const silent = await place.postern('domain', 'verify', 'acme.test')
  expect(silent.status).toBe(1)
  expect(silent.stdout).toContain('this says nothing of the record')
  const forced = await place.json('domain', 'verify', 'acme.test', '--force')
  expect(forced).toMatchObject({ id: second.id, state: 'verified', verification: null })
  expect(await sendOverHttp(gate, two, 'acme.test')).toBe(200)
}, 60_000)
