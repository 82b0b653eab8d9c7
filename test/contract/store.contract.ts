import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Change, GrantRequest, MintedToken } from '../../src/service/ports/registry.ts'
import type { Store } from '../../src/store/store.ts'
import { mintedFor } from '../helpers/minted.ts'

/** What every store promises; each database runs it. */

export const actor = { name: 'Test', origin: 'test' }
export const start = Date.UTC(2026, 10, 24, 12)
const hour = 3_600_000
const never = null

export function minted(): MintedToken {
  return mintedFor(randomBytes(20).toString('hex'))
}

/** The value of a change that must not be refused. */
export function done<T>(change: Change<T>): T {
  if (!change.done) throw new Error(`refused: ${JSON.stringify(change.refusal)}`)
  return change.value
}

/** A change that must be refused. */
function refused(change: Change<unknown>) {
  if (change.done) throw new Error(`done: ${JSON.stringify(change.value)}`)
  return change.refusal
}

export const onDomain = (id: number, level: GrantRequest['level'] = 'admin'): GrantRequest => ({
  resource: { type: 'domain', id },
  level,
})
const onAccount = (id: number): GrantRequest => ({
  resource: { type: 'account', id },
  level: 'admin',
})

export function storeContract(open: () => Promise<Store>) {
  let store: Store
  let accountId: number
  let count = 0
  let at = start

  beforeAll(async () => {
    store = await open()
    await store.migrate()
  })
  afterAll(() => store.close())
  beforeEach(async () => {
    at = start
    accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
  })

  async function addDomain() {
    count += 1
    const token = minted()
    const name = `d${count}.example`
    const request = { accountId, name, state: 'verified', token, actor, at } as const
    const added = done(await store.addDomain(request))
    return { ...added, digest: token.digest }
  }

  async function createToken(grants: readonly GrantRequest[], expiresAt: number | null = never) {
    const token = minted()
    const request = { accountId, name: 'Mine', grants, expiresAt, token, actor, at }
    return { token: done(await store.createToken(request)), digest: token.digest }
  }

  const remove = (tokenId: number) => store.deleteToken({ tokenId, actor, at })
  const reset = (tokenId: number, windowMs = 12 * hour, expiresAt?: number | null) =>
    store.resetToken({
      tokenId,
      windowEndsAt: at + windowMs,
      token: minted(),
      actor,
      at,
      ...(expiresAt !== undefined && { expiresAt }),
    })

  test('migrating again does nothing', async () => {
    expect(await store.migrate()).toEqual([])
  })

  describe('a call with an idempotency key', () => {
    let keys = 0
    const once = (sealed: string, more = {}) => ({
      scope: 'test',
      key: `key-${keys}`,
      fingerprint: 'what was asked for',
      sealed,
      ...more,
    })
    beforeEach(() => {
      keys += 1
    })

    const create = (sealed: string, more = {}) =>
      store.createToken({
        accountId,
        name: 'Mine',
        grants: [onAccount(accountId)],
        expiresAt: never,
        token: minted(),
        once: once(sealed, more),
        actor,
        at,
      })

    test('makes one token, however often it is repeated, and answers with the first secret', async () => {
      const first = await create('first')
      const second = await create('second')
      expect(done(second)).toEqual(done(first))
      expect(first).not.toHaveProperty('repeats')
      expect(second).toMatchObject({ repeats: 'first' })
      expect(await store.listTokens(accountId)).toHaveLength(1)
    })

    test('makes one token when it is repeated before it has answered', async () => {
      const calls = await Promise.all(['a', 'b', 'c', 'd'].map((sealed) => create(sealed)))
      expect(new Set(calls.map((call) => done(call).id)).size).toBe(1)
      const repeats = calls.flatMap((call) => (call.done ? (call.repeats ?? []) : []))
      expect(repeats).toHaveLength(3)
      expect(new Set(repeats).size).toBe(1)
      expect(await store.listTokens(accountId)).toHaveLength(1)
    })

    test('is refused when the key was used for something else, and makes nothing', async () => {
      done(await create('first'))
      const other = await create('second', { fingerprint: 'something else' })
      expect(refused(other)).toEqual({ reason: 'key-of-another-call' })
      expect(await store.listTokens(accountId)).toHaveLength(1)
    })

    test('of somebody else is another call', async () => {
      done(await create('first'))
      done(await create('second', { scope: 'somebody else' }))
      expect(await store.listTokens(accountId)).toHaveLength(2)
    })

    test('that was refused leaves the key free', async () => {
      const grants = [onAccount(accountId + 1_000)]
      const request = { accountId, name: 'Mine', grants, expiresAt: never, actor, at }
      refused(await store.createToken({ ...request, token: minted(), once: once('first') }))
      expect(await create('second')).not.toHaveProperty('repeats')
    })

    test('is a new call after its time', async () => {
      done(await create('first'))
      at += hour
      expect(await create('second')).not.toHaveProperty('repeats')
    })

    test('resets a token once, also when the old one is gone by the time it is repeated', async () => {
      const { token } = await createToken([onAccount(accountId)])
      const request = { tokenId: token.id, windowEndsAt: at, actor, at }
      const resetOnce = (sealed: string) =>
        store.resetToken({ ...request, token: minted(), once: once(sealed) })
      const first = await resetOnce('first')
      const second = await resetOnce('second')
      expect(done(second)).toEqual(done(first))
      expect(second).toMatchObject({ repeats: 'first', epoch: expect.any(Number) })
      await store.sweepExpired({ endedBefore: at, at, limit: 100 })
      const third = done(await resetOnce('third'))
      expect(third.old).toBeUndefined()
      expect(third.successor).toEqual(done(first).successor)
    })
  })

  describe('a domain', () => {
    test('comes with a token of its own: named after it, Domain Admin on it', async () => {
      const { domain, token, digest } = await addDomain()
      expect(token).toMatchObject({
        name: `${domain.name} token ${token.id}`,
        accountId,
        createdBy: 'System',
        expiresAt: null,
        windowEndsAt: null,
        successorId: null,
        grants: [onDomain(domain.id)],
      })
      expect((await store.findCredential(digest)).value).toEqual({
        tokenId: token.id,
        accountId,
        expiresAt: null,
        windowEndsAt: null,
        grants: [onDomain(domain.id)],
      })
      const { proof, verifiedAt, ...record } = domain
      expect({ proof, verifiedAt }).toEqual({ proof: null, verifiedAt: at })
      expect((await store.findDomain(domain.name)).value).toEqual(record)
      expect(await store.listDomains(accountId)).toEqual([domain])
    })

    test('belongs to one account: a name that is taken is refused, and nothing is made', async () => {
      const { domain } = await addDomain()
      const other = done(await store.createAccount({ name: 'Other', actor, at })).id
      const token = minted()
      const request = { name: domain.name, state: 'verified', token, actor, at } as const
      for (const asking of [accountId, other]) {
        const again = await store.addDomain({ ...request, accountId: asking })
        expect(refused(again)).toEqual({ reason: 'domain-taken', name: domain.name })
      }
      expect(await store.listTokens(other)).toEqual([])
      expect((await store.findCredential(token.digest)).value).toBeUndefined()
    })

    test('of an account that does not exist is refused', async () => {
      const request = { accountId: 999_999, name: 'x.example', state: 'verified' } as const
      const change = await store.addDomain({ ...request, token: minted(), actor, at })
      expect(refused(change)).toEqual({ reason: 'no-such-account' })
    })

    test('takes its grants with it, and leaves tokens that can do nothing', async () => {
      const { domain, token, digest } = await addDomain()
      const removed = await store.removeDomain({ domainId: domain.id, actor, at })
      expect(done(removed)).toEqual(domain)
      expect((await store.findDomain(domain.name)).value).toBeUndefined()
      expect((await store.findCredential(digest)).value?.grants).toEqual([])
      expect((await store.getToken(token.id))?.grants).toEqual([])
      const again = await store.removeDomain({ domainId: domain.id, actor, at })
      expect(refused(again)).toEqual({ reason: 'no-such-domain' })
    })
  })

  describe('a token', () => {
    test('is made with its grants, and found by its digest alone', async () => {
      const { domain } = await addDomain()
      const grants = [onAccount(accountId), onDomain(domain.id, 'viewer')]
      const { token, digest } = await createToken(grants, at + hour)
      expect(await store.getToken(token.id)).toEqual(token)
      expect(token).toMatchObject({ name: 'Mine', expiresAt: at + hour, grants })
      expect((await store.findCredential(digest)).value).toMatchObject({
        tokenId: token.id,
        grants,
      })
      expect((await store.findCredential(minted().digest)).value).toBeUndefined()
    })

    test('cannot be granted what is not of its account', async () => {
      const { domain } = await addDomain()
      const other = done(await store.createAccount({ name: 'Other', actor, at })).id
      const request = { accountId: other, name: 'x', expiresAt: null, actor, at }
      const create = async (grant: GrantRequest) =>
        refused(await store.createToken({ ...request, grants: [grant], token: minted() }))
      expect(await create(onDomain(domain.id))).toEqual({ reason: 'no-such-domain' })
      expect(await create(onDomain(999_999))).toEqual({ reason: 'no-such-domain' })
      expect(await create(onAccount(accountId))).toEqual({ reason: 'no-such-account' })
      expect(await store.listTokens(other)).toEqual([])
    })

    test('ids are not used again after a deletion', async () => {
      const { token } = await createToken([])
      done(await remove(token.id))
      expect((await createToken([])).token.id).toBeGreaterThan(token.id)
    })

    test('permissions are replaced as a whole', async () => {
      const one = await addDomain()
      const two = await addDomain()
      const { token, digest } = await createToken([onDomain(one.domain.id)])
      const replace = (grants: readonly GrantRequest[]) =>
        store.replaceGrants({ tokenId: token.id, grants, actor, at })
      const changed = await replace([onDomain(two.domain.id, 'viewer')])
      expect(done(changed).grants).toEqual([onDomain(two.domain.id, 'viewer')])
      expect((await store.findCredential(digest)).value?.grants).toEqual([
        onDomain(two.domain.id, 'viewer'),
      ])
      expect(done(await replace([])).grants).toEqual([])
      expect(refused(await replace([onDomain(999_999)]))).toEqual({ reason: 'no-such-domain' })
    })

    test('a deletion that is repeated succeeds again, one of an unknown token is refused', async () => {
      const { token, digest } = await createToken([])
      const first = await remove(token.id)
      expect(done(first)).toEqual({ tokenId: token.id, repeated: false })
      expect((await store.findCredential(digest)).value).toBeUndefined()
      const second = await remove(token.id)
      expect(done(second)).toEqual({ tokenId: token.id, repeated: true })
      expect(second.done && second.epoch).toBeGreaterThanOrEqual((first.done && first.epoch) || 0)
      expect(refused(await remove(999_999))).toEqual({ reason: 'no-such-token' })
    })

    test('its sealed copy is opened with a line in the audit trail', async () => {
      const { token } = await createToken([])
      const copy = await store.openSealedCopy({ tokenId: token.id, actor, at })
      expect(done(copy)).toMatch(/^sealed /)
      const [event] = await store.listAuditEvents({ accountId, limit: 1 })
      expect(event).toMatchObject({
        action: 'token.revealed',
        actor: 'Test',
        subject: { id: token.id },
      })
    })

    test('without a sealed copy cannot be revealed', async () => {
      const token = { ...minted(), sealed: null }
      const request = { accountId, name: 'x', grants: [], expiresAt: null, token, actor, at }
      const { id } = done(await store.createToken(request))
      const copy = await store.openSealedCopy({ tokenId: id, actor, at })
      expect(refused(copy)).toEqual({ reason: 'not-sealed' })
    })
  })

  describe('a reset', () => {
    test('lets the old token live on, and mints a successor with the same grants', async () => {
      const { domain, token, digest } = await addDomain()
      const { old, successor } = done(await reset(token.id))
      expect(old).toEqual({
        ...token,
        resetAt: at,
        windowEndsAt: at + 12 * hour,
        successorId: successor.id,
      })
      expect(successor).toMatchObject({
        name: `${domain.name} token ${successor.id}`,
        grants: token.grants,
        expiresAt: null,
        windowEndsAt: null,
      })
      expect((await store.findCredential(digest)).value).toMatchObject({
        windowEndsAt: at + 12 * hour,
      })
      expect(await store.getToken(token.id)).toEqual(old)
    })

    test('names follow the seed: the own id is replaced, any other number stays', async () => {
      const { token } = await createToken([])
      const first = done(await reset(token.id)).successor
      expect(first.name).toBe(`Mine ${first.id}`)
      const second = done(await reset(first.id)).successor
      expect(second.name).toBe(`Mine ${second.id}`)
    })

    test('copies the expiry unless another is given', async () => {
      const create = async () => (await createToken([], at + hour)).token.id
      expect(done(await reset(await create())).successor.expiresAt).toBe(at + hour)
      expect(done(await reset(await create(), hour, null)).successor.expiresAt).toBeNull()
      expect(done(await reset(await create(), hour, at + 5)).successor.expiresAt).toBe(at + 5)
    })

    test('of a token that was reset, or has ended, is refused', async () => {
      const { token } = await createToken([])
      const { successor } = done(await reset(token.id))
      const again = { reason: 'already-reset', at, successorId: successor.id }
      expect(refused(await reset(token.id))).toEqual(again)
      const ended = await createToken([], at)
      expect(refused(await reset(ended.token.id))).toEqual({ reason: 'expired' })
      expect(refused(await reset(999_999))).toEqual({ reason: 'no-such-token' })
    })

    test('can be undone while its window runs, and then made again; the successor stays', async () => {
      const { token, digest } = await addDomain()
      const { successor } = done(await reset(token.id))
      at += hour
      expect(done(await store.undoReset({ tokenId: token.id, actor, at }))).toEqual(token)
      expect((await store.findCredential(digest)).value).toMatchObject({ windowEndsAt: null })
      expect(await store.getToken(successor.id)).toEqual(successor)
      const undone = await store.undoReset({ tokenId: token.id, actor, at })
      expect(refused(undone)).toEqual({ reason: 'not-reset' })
      done(await reset(token.id))
    })

    test('its window can be shortened, extended to a limit, or ended; not after its end', async () => {
      const { token } = await createToken([])
      done(await reset(token.id))
      const move = (windowEndsAt: number) =>
        store.changeWindow({ tokenId: token.id, windowEndsAt, latestMs: 30 * hour, actor, at })
      expect(done(await move(at + hour)).windowEndsAt).toBe(at + hour)
      expect(done(await move(at + 30 * hour)).windowEndsAt).toBe(at + 30 * hour)
      expect(refused(await move(at + 30 * hour + 1))).toEqual({
        reason: 'window-too-long',
        latest: at + 30 * hour,
      })
      expect(done(await move(at)).windowEndsAt).toBe(at)
      expect(refused(await move(at + hour))).toEqual({ reason: 'expired' })
      const undone = await store.undoReset({ tokenId: token.id, actor, at })
      expect(refused(undone)).toEqual({ reason: 'expired' })
    })
  })

  describe('the last lasting token of a domain', () => {
    test('cannot be deleted, lose its grant, or get an end through its successor', async () => {
      const { domain, token } = await addDomain()
      const expected = { reason: 'last-token', domains: [domain.name] }
      const replace = (grants: readonly GrantRequest[]) =>
        store.replaceGrants({ tokenId: token.id, grants, actor, at })
      expect(refused(await remove(token.id))).toEqual(expected)
      expect(refused(await replace([]))).toEqual(expected)
      expect(refused(await replace([onDomain(domain.id, 'viewer')]))).toEqual(expected)
      expect(refused(await replace([onAccount(accountId)]))).toEqual(expected)
      expect(refused(await reset(token.id, hour, at + hour))).toEqual(expected)
      expect(await store.getToken(token.id)).toEqual(token)
      expect((await store.listTokens(accountId)).length).toBe(1)
      done(await reset(token.id, 0))
    })

    test('is not replaced by one with an end, a viewer, or an admin of the account', async () => {
      const { domain, token } = await addDomain()
      await createToken([onDomain(domain.id)], at + hour)
      await createToken([onDomain(domain.id, 'viewer')])
      await createToken([onAccount(accountId)])
      expect(refused(await remove(token.id))).toMatchObject({ reason: 'last-token' })
      const { successor } = done(await reset(token.id))
      done(await remove(token.id))
      expect(refused(await remove(successor.id))).toMatchObject({ reason: 'last-token' })
      await createToken([onDomain(domain.id)])
      done(await remove(successor.id))
    })

    test('is named for each domain that would be without one; nothing is half done', async () => {
      const one = await addDomain()
      const two = await addDomain()
      const { token } = await createToken([onDomain(one.domain.id), onDomain(two.domain.id)])
      done(await remove(one.token.id))
      done(await remove(two.token.id))
      expect(refused(await remove(token.id))).toEqual({
        reason: 'last-token',
        domains: [one.domain.name, two.domain.name],
      })
      done(await store.removeDomain({ domainId: one.domain.id, actor, at }))
      expect(refused(await remove(token.id))).toMatchObject({ domains: [two.domain.name] })
    })
  })

  describe('the sweeper', () => {
    beforeEach(async () => {
      // What other tests left behind.
      while ((await store.sweepExpired({ endedBefore: start * 2, at, limit: 100 })) > 0);
    })

    test('removes what has ended, by its expiry or its window, and nothing else', async () => {
      const expired = await createToken([], at + hour)
      const later = await createToken([], at + hour + 1)
      const lasting = await createToken([])
      const replaced = await createToken([])
      done(await reset(replaced.token.id, hour))
      at += hour
      const sweep = () => store.sweepExpired({ endedBefore: at, at, limit: 100 })
      expect(await sweep()).toBe(2)
      expect(await sweep()).toBe(0)
      expect(await store.getToken(expired.token.id)).toBeUndefined()
      expect(await store.getToken(replaced.token.id)).toBeUndefined()
      expect(await store.getToken(later.token.id)).toBeDefined()
      expect(await store.getToken(lasting.token.id)).toBeDefined()
    })

    test('takes no more than it is told to', async () => {
      for (let i = 0; i < 5; i++) await createToken([], at + 1)
      const sweep = () => store.sweepExpired({ endedBefore: at + 1, at, limit: 3 })
      expect([await sweep(), await sweep(), await sweep()]).toEqual([3, 2, 0])
    })
  })

  describe('the revocation log', () => {
    test('grows by one epoch with each change that alters a decision, and by none otherwise', async () => {
      const epochs: (number | null)[] = []
      const note = <T>(change: Change<T>) => {
        if (!change.done) throw new Error('refused')
        epochs.push(change.epoch)
        return change.value
      }
      const add = { accountId, name: `log${accountId}.example`, state: 'verified' } as const
      const { domain, token } = note(await store.addDomain({ ...add, token: minted(), actor, at }))
      const second = await createToken([])
      note(
        await store.replaceGrants({
          tokenId: second.token.id,
          grants: [onDomain(domain.id)],
          actor,
          at,
        }),
      )
      note(await reset(token.id))
      note(
        await store.changeWindow({
          tokenId: token.id,
          windowEndsAt: at + hour,
          latestMs: 30 * hour,
          actor,
          at,
        }),
      )
      note(await store.undoReset({ tokenId: token.id, actor, at }))
      note(await remove(token.id))
      note(await store.removeDomain({ domainId: domain.id, actor, at }))
      const first = epochs[0] ?? 0
      expect(epochs).toEqual(epochs.map((_, i) => first + i))
      const refusedChange = await remove(999_999)
      expect(refusedChange.done).toBe(false)
      const same = await store.replaceGrants({ tokenId: second.token.id, grants: [], actor, at })
      expect(same.done && same.epoch).toBe(first + epochs.length - 1)
    })

    test('a node that has renewed is not shut out, even if its renewal has the number of one that was lost', async () => {
      const incarnation = randomBytes(8).toString('hex')
      const find = async () =>
        (await store.readNodes()).nodes.find((node) => node.incarnation === incarnation)
      await store.addNode({ incarnation, name: 'x', holdMs: 1_000, at })
      await store.renewNode({ incarnation, applied: undefined, at: at + 5 })
      const row = await find()
      if (row === undefined) throw new Error('no node')
      expect(row.renewedAt).toBe(at + 5)
      await store.fenceNode({ ...row, renewedAt: at + 4 })
      await store.fenceNode({ ...row, renewal: row.renewal - 1 })
      expect(await find()).toEqual(row)
      await store.fenceNode(row)
      expect(await find()).toBeUndefined()
    })

    test('takes no acknowledgement for more than is in it: a number that was lost will be given again', async () => {
      const incarnation = randomBytes(8).toString('hex')
      const { moment } = await store.readNodes()
      const lost = { era: moment.era, epoch: moment.epoch + 5 }
      const acknowledged = async () => {
        const { nodes } = await store.readNodes()
        return nodes.find((node) => node.incarnation === incarnation)?.appliedEpoch
      }
      await store.addNode({ incarnation, name: 'x', holdMs: 1_000, at })
      await store.renewNode({ incarnation, applied: lost, at })
      expect(await acknowledged()).toBe(moment.epoch)
      await store.acknowledge({ incarnation, applied: lost })
      expect(await acknowledged()).toBe(moment.epoch)
      await store.removeNode({ incarnation })
    })
  })

  describe('the audit trail', () => {
    test('says who did what to which token, with before and after, newest first', async () => {
      const { token } = await addDomain()
      const { successor } = done(await reset(token.id))
      done(await remove(token.id))
      const events = await store.listAuditEvents({ accountId, limit: 10 })
      expect(events.map(({ action, subject }) => [action, subject.id])).toEqual([
        ['token.deleted', token.id],
        ['token.reset', token.id],
        ['token.created', successor.id],
        ['token.created', token.id],
        ['domain.added', expect.any(Number)],
        ['account.created', accountId],
      ])
      expect(events[1]).toMatchObject({
        at,
        accountId,
        actor: 'Test',
        origin: 'test',
        before: { name: token.name, windowEndsAt: null },
        after: { windowEndsAt: at + 12 * hour, successorId: successor.id },
      })
      expect(JSON.stringify(events)).not.toContain('sealed')
    })

    test('has no line for what was refused', async () => {
      const { token } = await addDomain()
      const before = await store.listAuditEvents({ accountId, limit: 100 })
      refused(await remove(token.id))
      expect(await store.listAuditEvents({ accountId, limit: 100 })).toEqual(before)
    })
  })

  describe('the table of secrets', () => {
    const secret = (id: string, createdAt: number) =>
      ({ id, kind: 'signing-key', createdAt, sealed: `jwe ${id}` }) as const

    test('has one current secret, also when two nodes start at once', async () => {
      const how = { retirePreviousAt: start, onlyIfNone: true, actor }
      const stored = await Promise.all(
        ['a', 'b', 'c'].map((id) => store.putSecret(secret(id, start), how)),
      )
      expect(stored.filter(Boolean)).toHaveLength(1)
      const rotate = { ...how, retirePreviousAt: start + hour, onlyIfNone: false }
      expect(await store.putSecret(secret('d', start + 1), rotate)).toBe(true)
      const secrets = await store.listSecrets('signing-key')
      expect(secrets).toMatchObject([
        { id: 'd', retiredAt: null, sealed: 'jwe d' },
        { retiredAt: start + hour },
      ])
    })
  })

  describe('at the same time', () => {
    test('two resets of one token make one successor', async () => {
      const { token } = await createToken([])
      const both = await Promise.all([reset(token.id), reset(token.id)])
      expect(both.filter((change) => change.done)).toHaveLength(1)
      expect(both.find((change) => !change.done)).toMatchObject({
        refusal: { reason: 'already-reset' },
      })
    })

    test('two deletions of one token are both done', async () => {
      const { token } = await createToken([])
      const both = await Promise.all([remove(token.id), remove(token.id)])
      expect(both.map((change) => change.done && change.value.repeated).sort()).toEqual([
        false,
        true,
      ])
    })

    test('two additions of one domain make one', async () => {
      const name = `race${accountId}.example`
      const add = () =>
        store.addDomain({ accountId, name, state: 'verified', token: minted(), actor, at })
      const both = await Promise.all([add(), add()])
      expect(both.filter((change) => change.done)).toHaveLength(1)
    })
  })
}
