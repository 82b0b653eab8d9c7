import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { revocationKey } from '../../src/core/revocation-key.ts'
import type { Store } from '../../src/store/store.ts'
import { actor, start as at, done, minted, onDomain } from './store.contract.ts'

/** What every store promises of domains that accounts add themselves. `other` is another process on the same database. */
export function domainProofContract(open: () => Promise<{ store: Store; other: Store }>) {
  let store: Store
  let other: Store
  let mine: number
  let theirs: number
  let name: string
  let count = 0

  beforeAll(async () => {
    ;({ store, other } = await open())
    await store.migrate()
  })
  afterAll(async () => {
    await store.close()
    await other.close()
  })
  beforeEach(async () => {
    mine = done(await store.createAccount({ name: 'Mine', actor, at })).id
    theirs = done(await store.createAccount({ name: 'Theirs', actor, at })).id
    count += 1
    name = `claim${count}.example`
  })

  const ask = (accountId: number, challenge = `c${accountId}`, checkAt = at + 1) => ({
    accountId,
    name,
    ...({ state: 'pending', challenge, checkAt } as const),
    token: minted(),
    actor,
    at,
  })
  const claim = async (accountId: number, checkAt?: number) =>
    done(await store.addDomain(ask(accountId, undefined, checkAt))).domain
  const addVerified = (accountId: number) =>
    store.addDomain({ accountId, name, state: 'verified', token: minted(), actor, at })
  const verify = (domainId: number, challenge?: string, by: Store = store) =>
    by.verifyDomain({ domainId, challenge, actor, at: at + 5 })
  const taken = () => ({ done: false, refusal: { reason: 'domain-taken', name } })

  async function keysOfLastChange() {
    const { moment } = await store.readNodes()
    const after = moment.epoch - 1
    const { entries } = await store.readLog({ incarnation: 'none', after })
    return entries.find(({ epoch }) => epoch === moment.epoch)?.keys
  }

  describe('a claim', () => {
    test('is pending, with a challenge that stays, and has its token', async () => {
      const added = done(await store.addDomain(ask(mine)))
      expect(added.domain).toMatchObject({
        state: 'pending',
        proof: { challenge: `c${mine}`, status: 'unchecked', checkedAt: null, since: at },
        verifiedAt: null,
      })
      expect(added.token.grants).toEqual([onDomain(added.domain.id)])
      expect(await store.getDomain(added.domain.id)).toEqual(added.domain)
      expect((await store.findDomain(name)).value?.state).toBe('pending')
    })

    test('keeps no other account out, neither from claiming nor from having', async () => {
      // Earlier or later than the one that proves it.
      await claim(theirs)
      const own = await claim(mine)
      const third = done(await store.createAccount({ name: 'Third', actor, at })).id
      await claim(third)
      done(await verify(own.id, `c${mine}`))
      const { value } = await store.findDomain(name)
      expect(value).toMatchObject({ accountId: mine, state: 'verified' })
    })

    test('does not keep the operator from adding the domain for another account', async () => {
      await claim(theirs)
      const { domain } = done(await addVerified(mine))
      expect((await store.findDomain(name)).value?.id).toBe(domain.id)
    })

    test('of a name that an account has is refused, and so is a second one of the same account', async () => {
      await claim(mine)
      expect(await store.addDomain(ask(mine))).toEqual(taken())
      expect(await addVerified(mine)).toEqual(taken())
      done(await addVerified(theirs))
      const third = done(await store.createAccount({ name: 'Third', actor, at })).id
      expect(await store.addDomain(ask(third))).toEqual(taken())
    })

    test('is refused to an account that has a thousand, until it proves or gives back one', async () => {
      const claims: number[] = []
      for (let i = 0; i < 1_000; i++) {
        name = `many${i}.claim${count}.example`
        claims.push((await claim(mine, at + 365 * 24 * 3_600_000)).id)
      }
      name = `more.claim${count}.example`
      const refusal = { done: false, refusal: { reason: 'too-many-claims' } }
      expect(await store.addDomain(ask(mine))).toEqual(refusal)
      expect(await store.addDomain(ask(theirs))).toMatchObject({ done: true })
      done(await verify(claims[0] ?? 0))
      expect(await store.addDomain(ask(mine))).toMatchObject({ done: true })
      name = `yet-more.claim${count}.example`
      expect(await store.addDomain(ask(mine))).toEqual(refusal)
      expect(await addVerified(mine)).toMatchObject({ done: true })
    })

    test('of two accounts is decided by the first proof, and can be proven when the domain is free again', async () => {
      const [first, second] = [await claim(theirs), await claim(mine)]
      done(await verify(second.id, `c${mine}`))
      expect(await verify(first.id, `c${theirs}`)).toEqual(taken())
      expect(await store.getDomain(first.id)).toEqual(first)
      done(await store.removeDomain({ domainId: second.id, actor, at }))
      expect((await store.findDomain(name)).value).toMatchObject({ id: first.id, state: 'pending' })
      done(await verify(first.id, `c${theirs}`))
      expect((await store.findDomain(name)).value).toMatchObject({ id: first.id })
    })

    test('of two accounts is given to one of them when both prove it at once', async () => {
      const [first, second] = [await claim(theirs), await claim(mine)]
      const outcomes = await Promise.all([
        verify(first.id, `c${theirs}`, store),
        verify(second.id, `c${mine}`, other),
      ])
      expect(outcomes.filter((outcome) => outcome.done)).toHaveLength(1)
      expect(outcomes).toContainEqual(taken())
    })

    test('that is proven while the operator adds the domain elsewhere leaves one of both', async () => {
      const { id } = await claim(theirs)
      const request = {
        accountId: mine,
        name,
        state: 'verified',
        token: minted(),
        actor,
        at,
      } as const
      const outcomes = await Promise.all([verify(id, `c${theirs}`), other.addDomain(request)])
      expect(outcomes.filter((outcome) => outcome.done)).toHaveLength(1)
      expect(outcomes).toContainEqual(taken())
    })
  })

  describe('verifying a domain', () => {
    test('is a change that every node learns of, and stands in the audit trail', async () => {
      const { id } = await claim(mine)
      const before = (await store.readNodes()).moment.epoch
      const change = await verify(id, `c${mine}`)
      expect(change).toMatchObject({ done: true, epoch: before + 1 })
      expect(done(change)).toMatchObject({
        state: 'verified',
        verifiedAt: at + 5,
        proof: { status: 'pass', checkedAt: at + 5 },
      })
      expect(await keysOfLastChange()).toEqual([revocationKey.domain(id), revocationKey.name(name)])
      const [event] = await store.listAuditEvents({ accountId: mine, limit: 1 })
      expect(event).toMatchObject({
        action: 'domain.verified',
        subject: { type: 'domain', id },
        before: { name, state: 'pending' },
        after: { name, state: 'verified', by: 'dns' },
      })
    })

    test('again changes nothing, and can be waited for like the first time', async () => {
      const { id } = await claim(mine)
      const first = done(await verify(id, `c${mine}`))
      const { moment } = await store.readNodes()
      const again = await store.verifyDomain({
        domainId: id,
        challenge: `c${mine}`,
        actor,
        at: at + 9,
      })
      expect(again).toEqual({ done: true, value: first, epoch: moment.epoch })
    })

    test('needs its own challenge, unless the operator vouches for it', async () => {
      const { id } = await claim(mine)
      const refusal = { done: false, refusal: { reason: 'no-such-domain' } }
      expect(await verify(id, `c${theirs}`)).toEqual(refusal)
      expect((await store.getDomain(id))?.state).toBe('pending')
      expect(done(await verify(id))).toMatchObject({
        state: 'verified',
        proof: { status: 'unchecked' },
      })
      const [event] = await store.listAuditEvents({ accountId: mine, limit: 1 })
      expect(event?.after).toMatchObject({ by: 'operator' })
      expect(await verify(999_999)).toEqual(refusal)
    })

    test('is refused to a token that does not administer the domain, or is gone', async () => {
      const { domain, token } = done(await store.addDomain(ask(mine)))
      const viewing = done(
        await store.createToken({
          accountId: mine,
          name: 'Viewer',
          grants: [onDomain(domain.id, 'viewer')],
          expiresAt: null,
          token: minted(),
          actor,
          at,
        }),
      )
      const by = (tokenId: number) =>
        store.verifyDomain({
          domainId: domain.id,
          challenge: `c${mine}`,
          actor: { ...actor, tokenId },
          at,
        })
      expect(await by(viewing.id)).toMatchObject({ refusal: { reason: 'not-permitted' } })
      expect(await by(999_999)).toMatchObject({ refusal: { reason: 'caller-gone' } })
      expect((await store.getDomain(domain.id))?.state).toBe('pending')
      expect(await by(token.id)).toMatchObject({ done: true })
    })
  })

  describe('a look at the record', () => {
    const note = { status: 'missing', checkedAt: at + 3, since: at, nextCheckAt: at + 9 } as const

    test('is noted, and no change that anybody waits for', async () => {
      const { id } = await claim(mine)
      const before = (await store.readNodes()).moment
      const noted = await store.noteDomainCheck(id, note)
      expect(noted?.proof).toEqual({
        challenge: `c${mine}`,
        status: 'missing',
        checkedAt: at + 3,
        since: at,
      })
      expect(await store.getDomain(id)).toEqual(noted)
      expect((await store.readNodes()).moment).toEqual(before)
    })

    test('that began before the domain was verified changes nothing of it', async () => {
      const { id } = await claim(mine)
      const verified = done(await verify(id, `c${mine}`))
      expect(await store.noteDomainCheck(id, note)).toBeUndefined()
      expect(await store.getDomain(id)).toEqual(verified)
    })

    test('is taken by one process when its time has come, the longest due first, and never of verified domains', async () => {
      const day = 24 * 3_600_000
      const [early, late] = [at - 2 * day, at - day]
      // What other tests have left is due later.
      const request = { at: late, until: at, limit: 10 }
      const second = await claim(mine, late)
      const first = await claim(theirs, early)
      name = `verified.${name}`
      done(await verify((await claim(mine, early)).id, `c${mine}`))
      expect((await store.claimDomainChecks({ ...request, limit: 1 })).map(({ id }) => id)).toEqual(
        [first.id],
      )
      const both = await Promise.all([
        store.claimDomainChecks(request),
        other.claimDomainChecks(request),
      ])
      expect(both.flat().map(({ id }) => id)).toEqual([second.id])
      expect(await store.claimDomainChecks({ ...request, at: at - 1 })).toEqual([])
      const afterwards = await store.claimDomainChecks({ ...request, at, until: at + 3 * day })
      expect(afterwards.map(({ id }) => id).sort()).toEqual([second.id, first.id])
    })
  })
}
