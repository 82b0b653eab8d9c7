import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ImportOutcome, TokenToImport } from '../../src/service/ports/imports.ts'
import type { Store } from '../../src/store/store.ts'
import { actor, start as at, done, minted, onDomain } from './store.contract.ts'

/** What every store promises of credentials that were in use before; each database runs it. */
export function importsContract(open: () => Promise<Store>) {
  describe('an import', () => {
    let store: Store
    let accountId: number
    let domain: { readonly id: number; readonly name: string }
    let line = 1

    beforeAll(async () => {
      store = await open()
      await store.migrate()
    })
    afterAll(() => store.close())
    beforeEach(async () => {
      accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
      domain = await addDomain(accountId)
      line = 1
    })

    async function addDomain(ofAccount: number) {
      const name = `${randomBytes(8).toString('hex')}.test`
      const request = { accountId: ofAccount, name, state: 'verified', actor, at } as const
      return done(await store.addDomain({ ...request, token: minted() })).domain
    }

    function credential(more: Partial<TokenToImport> = {}): TokenToImport {
      line += 1
      const { digest, lastFour, sealed } = minted()
      const grants = [{ domain: domain.name, level: 'admin' as const }]
      const times = { expiresAt: null, createdAt: null }
      return { line, name: `c ${line}`, digest, lastFour, sealed, grants, ...times, ...more }
    }

    async function importAll(
      tokens: readonly TokenToImport[],
      { trial = false, into = accountId } = {},
    ): Promise<readonly ImportOutcome[]> {
      const request = { accountId: into, source: 'file.csv', actor, at }
      return done(await store.importTokens({ ...request, tokens, trial }))
    }

    const idOf = (outcome: ImportOutcome | undefined) =>
      outcome !== undefined && 'tokenId' in outcome ? outcome.tokenId : undefined
    const countTokens = async () => (await store.listTokens(accountId)).length
    const statuses = (outcomes: readonly ImportOutcome[]) => outcomes.map(({ status }) => status)

    test('makes tokens that the gate finds, with all that was said of them', async () => {
      const given = credential({
        name: 'Ünïcode "quoted", \u{1F4EE}',
        grants: [
          { domain: null, level: 'viewer' },
          { domain: domain.name, level: 'admin' },
        ],
        expiresAt: at + 1_000,
        createdAt: at - 5_000,
      })
      const [outcome] = await importAll([given])
      const tokenId = idOf(outcome)
      expect(outcome).toEqual({ status: 'imported', tokenId: expect.any(Number) })
      const grants = [
        { resource: { type: 'account', id: accountId }, level: 'viewer' },
        onDomain(domain.id),
      ]
      expect(await store.getToken(tokenId ?? 0)).toEqual({
        id: tokenId,
        accountId,
        name: given.name,
        lastFour: given.lastFour,
        createdBy: actor.name,
        createdAt: at - 5_000,
        expiresAt: at + 1_000,
        windowEndsAt: null,
        resetAt: null,
        rate: null,
        successorId: null,
        grants,
      })
      expect((await store.findCredential(given.digest)).value).toMatchObject({
        tokenId,
        grants: expect.arrayContaining(grants),
      })
      const request = { tokenId: tokenId ?? 0, actor, at }
      expect(done(await store.openSealedCopy(request))).toBe(given.sealed)
    })

    test('is found by a search, and a token of which nothing is said of its age is of today', async () => {
      const [outcome] = await importAll([credential({ name: 'ÄPFEL', lastFour: '' })])
      const tokenId = idOf(outcome) ?? 0
      const seenBy = {
        accountId,
        tokenId: 0,
        grants: [{ resource: { type: 'account', id: accountId }, level: 'admin' }],
      } as const
      const page = await store.pageTokens({ accountId, after: 0, limit: 9, seenBy, search: 'äpf' })
      expect(page).toMatchObject([{ id: tokenId, createdAt: at, lastFour: '' }])
    })

    test('that is repeated finds what is there, and changes nothing', async () => {
      const given = [credential(), credential(), credential()]
      const first = await importAll(given)
      const trail = await store.listAuditEvents({ accountId, limit: 100 })
      const second = await importAll(given)
      expect(second).toEqual(first.map((one) => ({ status: 'already-there', tokenId: idOf(one) })))
      expect(await countTokens()).toBe(4)
      expect(await store.listAuditEvents({ accountId, limit: 100 })).toEqual(trail)
    })

    test('says when a token is there with other permissions or another expiry, and leaves it', async () => {
      const given = credential()
      const [first] = await importAll([given])
      const tokenId = idOf(first) ?? 0
      const before = await store.getToken(tokenId)
      const others = [
        { ...given, grants: [{ domain: domain.name, level: 'viewer' as const }] },
        { ...given, grants: [{ domain: null, level: 'admin' as const }] },
        { ...given, grants: [{ domain: 'unknown.test', level: 'admin' as const }] },
        { ...given, expiresAt: at + 1 },
        // A name is no right.
        { ...given, name: 'Another' },
      ]
      expect(await importAll(others)).toEqual([
        ...Array(4).fill({ status: 'different', tokenId }),
        { status: 'already-there', tokenId },
      ])
      expect(await store.getToken(tokenId)).toEqual(before)
    })

    test('says of a token that was reset that it is there with another end', async () => {
      const given = credential()
      const [outcome] = await importAll([given])
      const tokenId = idOf(outcome) ?? 0
      done(await store.resetToken({ tokenId, windowEndsAt: at + 1, token: minted(), actor, at }))
      expect(await importAll([given])).toEqual([{ status: 'different', tokenId }])
    })

    test('takes the first of several with one secret', async () => {
      const given = credential()
      const outcomes = await importAll([
        given,
        { ...given, line: 9 },
        { ...given, grants: [{ domain: null, level: 'admin' }] },
      ])
      expect(statuses(outcomes)).toEqual(['imported', 'already-there', 'different'])
      expect(new Set(outcomes.map(idOf)).size).toBe(1)
      expect(await countTokens()).toBe(2)
    })

    test('refuses a token of another account, and a domain that is not of this one, and takes the rest', async () => {
      const other = done(await store.createAccount({ name: 'Other', actor, at })).id
      const foreign = await addDomain(other)
      const taken = credential({ grants: [{ domain: foreign.name, level: 'admin' }] })
      await importAll([taken], { into: other })
      const outcomes = await importAll([
        { ...taken, grants: [{ domain: domain.name, level: 'admin' }] },
        credential({
          grants: [
            { domain: domain.name, level: 'admin' },
            { domain: foreign.name, level: 'admin' },
          ],
        }),
        credential(),
      ])
      expect(outcomes).toEqual([
        { status: 'of-another-account' },
        { status: 'no-such-domain', domain: foreign.name },
        { status: 'imported', tokenId: expect.any(Number) },
      ])
      expect(await countTokens()).toBe(2)
    })

    test('never brings back a token that was deleted, or that has ended and was swept', async () => {
      const deleted = credential({ grants: [{ domain: null, level: 'viewer' }] })
      const ending = credential({ expiresAt: at + 1 })
      const reset = credential({ grants: [{ domain: null, level: 'viewer' }] })
      const given = [deleted, ending, reset]
      const [one, , three] = await importAll(given)
      done(await store.deleteToken({ tokenId: idOf(one) ?? 0, actor, at }))
      const request = { tokenId: idOf(three) ?? 0, windowEndsAt: at, token: minted(), actor, at }
      done(await store.resetToken(request))
      await store.sweepExpired({ endedBefore: at + 1, at: at + 1, limit: 1_000 })
      const forAWhile = { entries: at + 1_000, tombstones: at + 1_000 }
      await store.pruneLog(forAWhile)
      expect(statuses(await importAll(given))).toEqual(['ended', 'ended', 'ended'])
    })

    test('a deletion that is refused leaves the token one that is there', async () => {
      const given = credential()
      const [outcome] = await importAll([given])
      const [own] = await store.listTokens(accountId)
      const remove = (tokenId: number) => store.deleteToken({ tokenId, actor, at })
      done(await remove(own?.id ?? 0))
      expect(await remove(idOf(outcome) ?? 0)).toMatchObject({ refusal: { reason: 'last-token' } })
      expect(statuses(await importAll([given]))).toEqual(['already-there'])
    })

    test('that is only tried says the same, and changes nothing', async () => {
      const there = credential()
      await importAll([there])
      const trail = await store.listAuditEvents({ accountId, limit: 100 })
      const given = [
        there,
        credential(),
        credential({ grants: [{ domain: 'no.test', level: 'admin' }] }),
      ]
      const tried = await importAll(given, { trial: true })
      expect(statuses(tried)).toEqual(['already-there', 'imported', 'no-such-domain'])
      expect(await countTokens()).toBe(2)
      expect(await store.listAuditEvents({ accountId, limit: 100 })).toEqual(trail)
      expect(statuses(await importAll(given))).toEqual(statuses(tried))
    })

    test('stands in the audit trail once for each transaction, with its lines and its tokens', async () => {
      const given = [
        credential(),
        credential({ grants: [{ domain: 'no.test', level: 'admin' }] }),
        credential(),
      ]
      const outcomes = await importAll(given)
      const ids = outcomes.flatMap((one) => idOf(one) ?? [])
      const [event] = await store.listAuditEvents({ accountId, limit: 1 })
      expect(event).toMatchObject({
        at,
        actor: actor.name,
        origin: actor.origin,
        action: 'tokens.imported',
        subject: { type: 'account', id: accountId },
        after: {
          source: 'file.csv',
          lines: [given[0]?.line, given[2]?.line],
          tokens: [[Math.min(...ids), Math.max(...ids)]],
        },
      })
      for (const { digest } of given) expect(JSON.stringify(event)).not.toContain(digest)
    })

    test('of thousands of rows and permissions is one transaction', async () => {
      const domains = await Promise.all(Array.from({ length: 5 }, () => addDomain(accountId)))
      const grants = domains.map(({ name }) => ({ domain: name, level: 'viewer' as const }))
      const given = Array.from({ length: 3_000 }, () => credential({ grants }))
      const outcomes = await importAll(given)
      expect(new Set(outcomes.map(idOf)).size).toBe(3_000)
      // In the order of the file.
      expect(outcomes.map(idOf)).toEqual(outcomes.map(idOf).toSorted((a = 0, b = 0) => a - b))
      expect(await countTokens()).toBe(3_006)
    })

    test('by several at once of the same file makes each token once', async () => {
      const given = Array.from({ length: 50 }, () => credential())
      const all = await Promise.all(
        [given, given.toReversed(), given].map((some) => importAll(some)),
      )
      const counts = all.map(
        (outcomes) => statuses(outcomes).filter((one) => one === 'imported').length,
      )
      expect(counts.reduce((sum, one) => sum + one)).toBe(50)
      expect(await countTokens()).toBe(51)
    })

    test('into an account that does not exist is refused', async () => {
      const request = {
        accountId: accountId + 1_000,
        source: 'x',
        tokens: [credential()],
        actor,
        at,
      }
      for (const trial of [true, false]) {
        expect(await store.importTokens({ ...request, trial })).toEqual({
          done: false,
          refusal: { reason: 'no-such-account' },
        })
      }
    })

    test('is announced as what everybody who did not know of a token has to forget', async () => {
      const { epoch } = (await store.readNodes()).moment
      const announced = await store.announceImport({ at })
      expect(announced).toBe(epoch + 1)
      const reading = await store.readLog({ incarnation: 'nobody', after: epoch })
      expect(reading.entries).toEqual([{ epoch: announced, keys: ['negatives'] }])
    })
  })
}
