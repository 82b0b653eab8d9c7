import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { Moment } from '../../src/core/sighting.ts'
import { createKnowledge } from '../../src/fleet/knowledge.ts'
import type { Store } from '../../src/store/store.ts'
import { actor, start as at, done, minted } from './store.contract.ts'

/** A store, and a way past it to its tables. */
interface FleetStore {
  readonly store: Store
  execute(statement: string): unknown
}

/** What every store promises to the nodes of a fleet; each database runs it. */
export function fleetContract(open: () => Promise<FleetStore>) {
  let store: Store
  let execute: FleetStore['execute']
  let accountId: number
  let domains = 0
  let incarnation: string

  beforeAll(async () => {
    ;({ store, execute } = await open())
    await store.migrate()
    accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
  })
  afterAll(() => store.close())
  beforeEach(() => {
    incarnation = randomUUID()
  })

  /** Adds one entry to the log; answers its epoch. */
  async function grow(when = at): Promise<number> {
    domains += 1
    const name = `fleet-${domains}.example`
    const added = await store.addDomain({
      accountId,
      name,
      state: 'verified',
      token: minted(),
      actor,
      at: when,
    })
    if (!added.done || added.epoch === null) throw new Error('no epoch')
    return added.epoch
  }

  const join = (holdMs = 10_000) => store.addNode({ incarnation, name: 'gate:1', holdMs, at })
  const renew = (applied?: Moment) => store.renewNode({ incarnation, applied, at })
  const read = (after = 0) => store.readLog({ incarnation, after })
  async function rowOf(name = incarnation) {
    return (await store.readNodes()).nodes.find((node) => node.incarnation === name)
  }

  test('a node has no renewal before its first, and each is one more', async () => {
    await join()
    expect(await rowOf()).toMatchObject({ renewal: 0, appliedEpoch: 0, holdMs: 10_000 })
    expect(await renew()).toBe(1)
    expect(await renew()).toBe(2)
    expect((await read()).renewal).toBe(2)
  })

  test('a node without a row cannot renew, and never gets one by renewing', async () => {
    expect(await renew()).toBeUndefined()
    expect(await rowOf()).toBeUndefined()
    expect((await read()).renewal).toBeNull()
  })

  test('the log is read whole, in order, with the clock of the same snapshot', async () => {
    const first = await grow()
    const second = await grow()
    const reading = await read(first - 1)
    expect(reading.epoch).toBe(second)
    expect(reading.entries.map(({ epoch }) => epoch)).toEqual([first, second])
    expect(reading.entries[0]?.keys).toEqual([expect.stringMatching(/^name:/)])
    expect(reading.at).toBeGreaterThan(Date.UTC(2026, 0))
    expect((await read(second)).entries).toEqual([])
  })

  test('what a node has applied is never taken back, by whatever order it is told in', async () => {
    await join()
    const epoch = await grow()
    const { era } = await read()
    await store.acknowledge({ incarnation, applied: { era, epoch } })
    await store.acknowledge({ incarnation, applied: { era, epoch: epoch - 1 } })
    expect((await rowOf())?.appliedEpoch).toBe(epoch)
    await renew({ era, epoch: epoch - 1 })
    expect((await rowOf())?.appliedEpoch).toBe(epoch)
  })

  test('what a node has applied of another era counts for nothing', async () => {
    await join()
    const epoch = await grow()
    const { era } = await read()
    await renew({ era, epoch })
    await store.acknowledge({ incarnation, applied: { era: 'another', epoch: epoch + 5 } })
    expect((await rowOf())?.appliedEpoch).toBe(epoch)
    await renew({ era: 'another', epoch: epoch + 5 })
    expect((await rowOf())?.appliedEpoch).toBe(0)
  })

  test('a node that was waited out is shut out, unless it has renewed since', async () => {
    await join()
    await renew()
    await renew()
    await store.fenceNode({ incarnation, renewal: 1, renewedAt: at })
    expect(await renew()).toBe(3)
    await store.fenceNode({ incarnation, renewal: 3, renewedAt: at })
    expect(await renew()).toBeUndefined()
    expect(await rowOf()).toBeUndefined()
    expect((await store.readAcknowledgements([incarnation])).size).toBe(0)
    const listed = (await store.listNodes()).find((node) => node.incarnation === incarnation)
    expect(listed).toMatchObject({ fenced: true, renewal: 3, name: 'gate:1' })
  })

  test('a node is removed by itself at once, and by others only as they saw it', async () => {
    await join()
    await renew()
    await store.removeNode({ incarnation, renewal: 0 })
    expect(await rowOf()).toBeDefined()
    await store.removeNode({ incarnation, renewal: 1 })
    expect(await rowOf()).toBeUndefined()
    await join()
    await store.removeNode({ incarnation })
    expect(await rowOf()).toBeUndefined()
  })

  test('acknowledgements are told of those that are there', async () => {
    await join()
    const other = randomUUID()
    const { era, epoch } = await read()
    await store.acknowledge({ incarnation, applied: { era, epoch } })
    const told = await store.readAcknowledgements([incarnation, other])
    expect([...told]).toEqual([[incarnation, epoch]])
    expect(await store.readAcknowledgements([])).toEqual(new Map())
  })

  test('pruned entries leave a mark behind which the log is whole', async () => {
    const old = await grow(at - 1_000_000)
    const kept = await grow(at)
    await store.pruneLog({ entries: at - 500_000, tombstones: 0 })
    const reading = await read()
    expect(reading.completeFrom).toBe(old)
    expect(reading.entries.map(({ epoch }) => epoch)).toEqual([kept])
    // Nothing is older now: the mark stays.
    await store.pruneLog({ entries: at - 500_000, tombstones: 0 })
    expect((await read()).completeFrom).toBe(old)
  })

  test('a tombstone that was pruned is that of no token', async () => {
    const grants = [{ resource: { type: 'account', id: accountId }, level: 'viewer' }] as const
    const request = { accountId, name: 'x', grants, expiresAt: null, token: minted(), actor, at }
    const tokenId = done(await store.createToken(request)).id
    const remove = () => store.deleteToken({ tokenId, actor, at })
    done(await remove())
    await store.pruneLog({ entries: 0, tombstones: at })
    expect(done(await remove()).repeated).toBe(true)
    await store.pruneLog({ entries: 0, tombstones: at + 1 })
    expect(await remove()).toMatchObject({ refusal: { reason: 'no-such-token' } })
  })

  test('of a log that is longer than a node reads at once it knows where its knowledge begins', async () => {
    const knowledge = createKnowledge()
    const first = await read()
    expect(knowledge.apply(first, undefined)).toBe('applied')
    const old = {
      value: 'a record',
      era: first.era,
      epoch: first.epoch,
      kind: 'token' as const,
      name: 'x',
    }
    const added = 10_001
    await execute(`with recursive n(i) as (select 1 union all select i + 1 from n where i < ${added})
      insert into revocations (epoch, keys, at)
      select epoch + i, '["token:nobody"]', ${at} from revocation_clock, n`)
    await execute(`update revocation_clock set epoch = epoch + ${added}`)
    const asked = knowledge.moment()
    const reading = await read(asked?.epoch)
    expect(reading.epoch).toBe(first.epoch + added)
    expect(reading.completeFrom).toBe(first.epoch + 1)
    expect(reading.entries).toHaveLength(10_000)
    expect(knowledge.apply(reading, asked)).toBe('applied')
    expect(knowledge.moment()).toEqual({ era: reading.era, epoch: reading.epoch })
    // What the entry that it has not read may have named cannot be believed.
    expect(knowledge.judge(old)).toBe('stale')
    expect(knowledge.judge({ ...old, epoch: first.epoch + 1 })).toBe('believed')
  })

  test('a new era keeps the epochs, and says how young it is', async () => {
    const before = await read()
    const actor = { name: 'root', origin: 'cli' }
    const begun = await store.beginEra({ actor, at: 1_000 })
    expect(begun.epoch).toBe(before.epoch)
    expect(begun.era).not.toBe(before.era)
    const { moment, eraAgeMs } = await store.readNodes()
    expect(moment).toEqual(begun)
    expect(eraAgeMs).toBeGreaterThanOrEqual(0)
    expect(eraAgeMs).toBeLessThan(60_000)
    const [event] = await store.listAuditEvents({ limit: 1 })
    expect(event).toMatchObject({
      action: 'fleet.era_begun',
      actor: 'root',
      subject: { type: 'fleet', id: 0 },
      before: { era: before.era },
      after: begun,
    })
    expect(await grow()).toBe(before.epoch + 1)
  })

  describe('whoever watches the log', () => {
    test('hears that it has grown, and nothing after it stopped', async () => {
      let heard = 0
      const stop = store.watchLog(() => {
        heard += 1
      })
      onTestFinished(stop)
      await grow()
      await expect.poll(() => heard, { timeout: 5_000 }).toBeGreaterThan(0)
      // The first call may be for the connection itself.
      const before = heard
      await grow()
      await expect.poll(() => heard, { timeout: 5_000 }).toBeGreaterThan(before)
      stop()
    })
  })

  test('each record carries the moment of its own snapshot, also where there is nothing', async () => {
    const epoch = await grow()
    const { era } = await read()
    const name = `fleet-${domains}.example`
    expect(await store.findDomain(name)).toMatchObject({ era, epoch, value: { name } })
    const nothing = await store.findDomain('nowhere.example')
    expect(nothing).toMatchObject({ era, epoch, value: undefined })
    const unknown = await store.findCredential(minted().digest)
    expect(unknown).toMatchObject({ era, epoch, value: undefined })
  })
}
