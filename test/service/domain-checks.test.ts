import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { createDomainChecks } from '../../src/service/domain-checks.ts'
import type { TxtAnswer } from '../../src/service/ports/dns.ts'
import type { Receipt } from '../../src/service/ports/registry.ts'
import { createVerifyDomain } from '../../src/service/verify-domain.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { mintedFor } from '../helpers/minted.ts'

/** Domains that are looked at on request and by themselves, on a real store, with a DNS that says what a test wants. */

const actor = { name: 'Test', origin: 'test' }
const minute = 60_000
const hour = 60 * minute
const day = 24 * hour

let store: Store
let accountId: number
let clock: ReturnType<typeof createFakeClock>
let asked: string[]
let answer: (name: string) => TxtAnswer | Promise<TxtAnswer>
let lines: { event: string }[]

const absent: TxtAnswer = { known: true, records: [], resolver: 'r' }
const silent: TxtAnswer = { known: false, reason: 'ETIMEOUT from r' }
const present = (...records: string[]): TxtAnswer => ({ known: true, records, resolver: 'r' })

beforeEach(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-checks-'))
  store = await openStore(`sqlite:${join(folder, 'x.db')}`)
  onTestFinished(async () => {
    await store.close()
    rmSync(folder, { recursive: true })
  })
  await store.migrate()
  clock = createFakeClock()
  asked = []
  answer = () => absent
  lines = []
  const account = await store.createAccount({ name: 'Acme', actor, at: clock.now() })
  accountId = account.done ? account.value.id : 0
})

async function claim(name: string) {
  const at = clock.now()
  const token = mintedFor(randomBytes(20).toString('hex'))
  const request = { accountId, name, token, actor, at } as const
  const challenge = `of ${name}`
  const added = await store.addDomain({
    ...request,
    ...{ state: 'pending', challenge, checkAt: at + minute },
  })
  if (!added.done) throw new Error(added.refusal.reason)
  return added.value.domain
}

const confirmedAt = (epoch: number): Receipt => ({
  ...{ epoch, propagation: 'confirmed', confirmed: 1, fenced: 0, waitingFor: [], ms: 1 },
})

/** A process of a gate. */
function createGate() {
  const confirmed: number[] = []
  const verify = createVerifyDomain({
    registry: store,
    async lookUpTxt(name) {
      asked.push(name)
      return answer(name)
    },
    async confirm(epoch) {
      confirmed.push(epoch)
      return confirmedAt(epoch)
    },
    clock,
    firstCheckMs: minute,
  })
  const note = (about: object) => void lines.push(about as { event: string })
  const log = { info: note, warn: note }
  const checks = createDomainChecks({ registry: store, verify, clock, log, intervalMs: minute })
  return { verify, checks, confirmed }
}

/** Lets time pass, a quarter of a minute at a step, with a round at each. */
async function pass(ms: number, { checks } = createGate()) {
  for (const end = clock.now() + ms; clock.now() < end; ) {
    clock.advance(Math.min(minute / 4, end - clock.now()))
    await checks.round()
  }
}

const stateOf = async (id: number) => (await store.getDomain(id))?.state

test('a record that is set is found by itself, and the change is announced to every node', async () => {
  const { id, name } = await claim('acme.test')
  const gate = createGate()
  await pass(minute, gate)
  expect(asked).toEqual(['_postern-challenge.acme.test'])
  expect(await stateOf(id)).toBe('pending')
  answer = () => present('v=spf1 -all', `postern-verification=of ${name}`)
  await pass(minute, gate)
  expect(await store.getDomain(id)).toMatchObject({
    state: 'verified',
    verifiedAt: clock.now(),
    proof: { status: 'pass' },
  })
  expect(gate.confirmed).toEqual([(await store.readNodes()).moment.epoch])
  expect(lines).toEqual([{ event: 'domain_verified', domainId: id, name, accountId }])
  await pass(hour, gate)
  expect(asked).toHaveLength(2)
})

test('a domain that nobody proves is looked at ever more rarely, until it is given up', async () => {
  await claim('acme.test')
  await pass(hour)
  expect(asked).toHaveLength(6)
  for (let i = 0; i < 20 * 24; i++) {
    clock.advance(hour)
    await createGate().checks.round()
  }
  const looks = asked.length
  expect(looks).toBeLessThan(80)
  clock.advance(365 * day)
  await createGate().checks.round()
  expect(asked).toHaveLength(looks)
})

test('whoever asks for a look has it looked at soon again, however old the claim is', async () => {
  const domain = await claim('acme.test')
  clock.advance(30 * day)
  const { verify, checks } = createGate()
  await checks.round()
  await checks.round()
  expect(asked).toHaveLength(1)
  const { outcome, check } = await verify.onRequest(domain, actor)
  expect(check).toMatchObject({ status: 'missing', found: [], resolver: 'r' })
  expect(outcome).toMatchObject({ done: true, receipt: null, value: { state: 'pending' } })
  asked = []
  await pass(4 * minute)
  expect(asked).toHaveLength(3)
})

test('a DNS that does not answer says nothing of a record, and is asked again', async () => {
  const domain = await claim('acme.test')
  answer = () => silent
  await pass(2 * minute)
  expect(await store.getDomain(domain.id)).toMatchObject({
    state: 'pending',
    proof: { status: 'network_error' },
  })
  expect(lines).toContainEqual({
    event: 'dns_unanswered',
    domains: 1,
    name: '_postern-challenge.acme.test',
    reason: 'ETIMEOUT from r',
  })
  const { check } = await createGate().verify.onRequest(domain, actor)
  expect(check).toMatchObject({ status: 'network_error', resolver: null })
  answer = () => present('postern-verification=of acme.test')
  await pass(minute)
  expect(await stateOf(domain.id)).toBe('verified')
})

test('a verified domain stays so, whatever becomes of its record and of the DNS', async () => {
  const { id } = await claim('acme.test')
  answer = () => present('postern-verification=of acme.test')
  await pass(minute)
  for (const later of [absent, silent, present('other')]) {
    answer = () => later
    await pass(hour)
    const domain = await store.getDomain(id)
    if (domain === undefined) throw new Error('the domain is gone')
    const gate = createGate()
    const { outcome, check } = await gate.verify.onRequest(domain, actor)
    expect(check).toBeNull()
    expect(outcome).toMatchObject({ done: true, value: { state: 'verified' } })
    // A repeated call waits like the one that it repeats.
    expect(gate.confirmed).toEqual([(await store.readNodes()).moment.epoch])
  }
  expect(asked).toHaveLength(1)
})

test('a domain that is removed while it is looked at stays removed', async () => {
  const domain = await claim('acme.test')
  const { verify } = createGate()
  for (const found of [absent, present('postern-verification=of acme.test')]) {
    answer = async () => {
      await store.removeDomain({ domainId: domain.id, actor, at: clock.now() })
      return found
    }
    const { outcome } = await verify.onRequest(domain, actor)
    expect(outcome).toEqual({ done: false, refusal: { reason: 'no-such-domain' } })
  }
})

test('a look that came too early does not hide that another one has found the record', async () => {
  const domain = await claim('acme.test')
  const { verify } = createGate()
  answer = async () => {
    answer = () => present('postern-verification=of acme.test')
    await verify.onRequest(domain, actor)
    return absent
  }
  const { outcome } = await verify.onRequest(domain, actor)
  expect(outcome).toMatchObject({ done: true, value: { state: 'verified' } })
})

test('the challenge of another domain or another account proves nothing', async () => {
  const [one, two] = [await claim('one.test'), await claim('two.test')]
  answer = () => present('postern-verification=of two.test')
  await pass(minute)
  expect([await stateOf(one.id), await stateOf(two.id)]).toEqual(['pending', 'verified'])
})

test('gates that look at once look at each domain once', async () => {
  const names = Array.from({ length: 30 }, (_, i) => `d${i}.test`)
  for (const name of names) await claim(name)
  clock.advance(minute)
  await Promise.all([createGate(), createGate(), createGate()].map(({ checks }) => checks.round()))
  expect(asked.toSorted()).toEqual(names.map((name) => `_postern-challenge.${name}`).toSorted())
})

test('a round is bounded, and so is how much is asked at once', async () => {
  for (let i = 0; i < 120; i++) await claim(`d${i}.test`)
  clock.advance(minute)
  let open = 0
  let most = 0
  answer = async () => {
    open += 1
    most = Math.max(most, open)
    await new Promise(setImmediate)
    open -= 1
    return silent
  }
  const { checks } = createGate()
  await checks.round()
  expect(asked).toHaveLength(100)
  expect(most).toBe(10)
  await checks.round()
  expect(asked).toHaveLength(120)
  // An outage of the DNS is one line for each round.
  expect(lines).toMatchObject([{ domains: 100 }, { domains: 20 }])
})

test('one domain that cannot be looked at keeps none of the others from it, and is not forgotten', async () => {
  const [broken, other] = [await claim('broken.test'), await claim('other.test')]
  answer = (name) => {
    if (name.endsWith('broken.test')) throw new Error('out of memory')
    return present('postern-verification=of other.test')
  }
  await pass(minute)
  expect(await stateOf(other.id)).toBe('verified')
  expect(lines).toContainEqual({
    event: 'domain_check_failed',
    domainId: broken.id,
    error: 'Error: out of memory',
  })
  answer = () => present('postern-verification=of broken.test')
  await pass(6 * minute)
  expect(await stateOf(broken.id)).toBe('verified')
})

test('what stands in the DNS cannot write on a terminal, nor fill an answer', async () => {
  const domain = await claim('acme.test')
  answer = () => present('\u001b[2J\u009b31mx\u0000é', 'y'.repeat(9_999), ...Array(50).fill('z'))
  const { check } = await createGate().verify.onRequest(domain, actor)
  expect(check?.found).toHaveLength(20)
  expect(check?.found[0]).toBe('?[2J?31mx??')
  expect(check?.found[1]).toHaveLength(255)
})

test('it ends after the look that is under way, and begins no other', async () => {
  for (let i = 0; i < 12; i++) await claim(`d${i}.test`)
  clock.advance(minute)
  const held = Promise.withResolvers<TxtAnswer>()
  answer = () => held.promise
  const { checks } = createGate()
  const round = checks.round()
  await expect.poll(() => asked.length).toBe(10)
  await checks.stop()
  held.resolve(absent)
  await round
  expect(asked).toHaveLength(10)
})
