import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { sees } from '../../src/core/authority.ts'
import { maxGrants } from '../../src/core/grants.ts'
import type { Actor, GrantRequest, TokenRecord } from '../../src/service/ports/registry.ts'
import type { Store } from '../../src/store/store.ts'
import { actor, done, minted, onDomain, start } from './store.contract.ts'

/** What the management API stands on: lists of many tokens, edits, and rights that are judged where the change is made. */

const at = start

export function apiContract(open: () => Promise<Store>) {
  let store: Store
  let accountId: number
  let count = 0

  beforeAll(async () => {
    store = await open()
    await store.migrate()
  })
  afterAll(() => store.close())
  beforeEach(async () => {
    accountId = done(await store.createAccount({ name: 'Acme', actor, at })).id
  })

  const onAccount = (level: GrantRequest['level'] = 'admin'): GrantRequest => ({
    resource: { type: 'account', id: accountId },
    level,
  })

  async function addDomain() {
    const name = `api${count++}.example`
    const request = { accountId, name, state: 'verified', token: minted(), actor, at } as const
    return done(await store.addDomain(request))
  }

  async function createToken(name: string, grants: readonly GrantRequest[], expiresAt = null) {
    const request = { accountId, name, grants, expiresAt, token: minted(), actor, at }
    return done(await store.createToken(request))
  }

  const as = ({ id, name }: TokenRecord): Actor => ({ tokenId: id, name, origin: 'test' })
  const viewOf = (token: TokenRecord) => ({ ...token, tokenId: token.id })

  describe('a list of tokens', () => {
    test('comes in pages that together are the whole, each token once', async () => {
      const boss = await createToken('Boss', [onAccount()])
      for (let i = 0; i < 6; i++) await createToken(`t${i}`, [onAccount()])
      const all: number[] = []
      for (let after = 0; ; ) {
        const request = { accountId, after, limit: 3, seenBy: viewOf(boss) }
        const page = await store.pageTokens(request)
        all.push(...page.map(({ id }) => id))
        if (page.length < 3) break
        after = page.at(-1)?.id ?? 0
      }
      expect(all).toEqual((await store.listTokens(accountId)).map(({ id }) => id))
    })

    test('holds whole tokens, with every grant', async () => {
      const [one, two] = [await addDomain(), await addDomain()]
      const boss = await createToken('Boss', [onAccount()])
      await createToken('both', [onDomain(one.domain.id), onDomain(two.domain.id, 'viewer')])
      const page = await store.pageTokens({ accountId, after: 0, limit: 9, seenBy: viewOf(boss) })
      expect(page).toEqual(await store.listTokens(accountId))
    })

    test.each([
      ['part of a name', 'lett', ['Newsletter', 'letters']],
      ['letters in another case', 'NEWS', ['Newsletter']],
      ['letters beyond ASCII in another case', 'ÉTÉ', ['Promo été']],
      ['a sign that patterns use', '%', ['100% off']],
      ['another such sign', '_', ['snake_case']],
      ['the sign that quotes those', '\\', ['back\\slash']],
      ['nothing that is there', 'nowhere', []],
    ])('is searched by %s', async (_what, search, expected) => {
      const boss = await createToken('Boss', [onAccount()])
      const names = ['Newsletter', 'letters', 'Promo été', '100% off', 'snake_case', 'back\\slash']
      for (const name of names) await createToken(name, [onAccount()])
      const request = { accountId, after: 0, limit: 9, seenBy: viewOf(boss), search }
      expect((await store.pageTokens(request)).map(({ name }) => name)).toEqual(expected)
    })

    test('is searched by the last four characters, and by a name that was changed', async () => {
      const boss = await createToken('Boss', [onAccount()])
      const other = await createToken('before', [onAccount()])
      done(await store.editToken({ tokenId: other.id, name: 'After', actor, at }))
      const find = async (search: string) => {
        const request = { accountId, after: 0, limit: 9, seenBy: viewOf(boss), search }
        return (await store.pageTokens(request)).map(({ id }) => id)
      }
      expect(await find(other.lastFour)).toContain(other.id)
      expect(await find('after')).toEqual([other.id])
      expect(await find('before')).toEqual([])
    })

    test('can be of those with a grant on some domains', async () => {
      const [one, two] = [await addDomain(), await addDomain()]
      const boss = await createToken('Boss', [onAccount()])
      const request = { accountId, after: 0, limit: 9, seenBy: viewOf(boss) }
      const found = async (onDomains: number[], seenBy = viewOf(boss)) =>
        (await store.pageTokens({ ...request, seenBy, onDomains })).map(({ id }) => id)
      expect(await found([two.domain.id])).toEqual([two.token.id])
      expect(await found([one.domain.id, two.domain.id])).toEqual([one.token.id, two.token.id])
      expect(await found([one.domain.id], viewOf(one.token))).toEqual([one.token.id])
      expect(await found([two.domain.id], viewOf(one.token))).toEqual([])
      expect(await found([one.domain.id, two.domain.id], viewOf(one.token))).toEqual([one.token.id])
    })

    test('of one domain comes in pages too, by id, each token once', async () => {
      const [one, two] = [await addDomain(), await addDomain()]
      const on = (domainId: number) => createToken('x', [onDomain(domainId)])
      const shown = [one.token.id]
      for (let i = 0; i < 4; i++) {
        shown.push((await on(one.domain.id)).id)
        await on(two.domain.id)
        await createToken('both', [onDomain(one.domain.id), onDomain(two.domain.id)])
      }
      const seenBy = viewOf(one.token)
      const first = await store.pageTokens({ accountId, after: 0, limit: 3, seenBy })
      const after = first.at(-1)?.id ?? 0
      const rest = await store.pageTokens({ accountId, after, limit: 3, seenBy })
      expect([...first, ...rest].map(({ id }) => id)).toEqual(shown)
    })

    test('shows a caller exactly what the rule says that it sees', async () => {
      const domains = [await addDomain(), await addDomain(), await addDomain()]
      const ids = domains.map(({ domain }) => domain.id)
      const level = fc.constantFrom('admin' as const, 'viewer' as const)
      const grants = fc
        .record({
          account: fc.option(level, { freq: 4 }),
          domains: fc.array(fc.option(level), { minLength: 3, maxLength: 3 }),
        })
        .map(({ account, domains: levels }) => [
          ...(account === null ? [] : [onAccount(account)]),
          ...levels.flatMap((own, i) => (own === null ? [] : [onDomain(ids[i] ?? 0, own)])),
        ])
      for (const own of fc.sample(grants, { numRuns: 60, seed: 11 })) await createToken('x', own)
      const tokens = await store.listTokens(accountId)
      const shown = new Set<number>()
      for (const caller of tokens) {
        const request = { accountId, after: 0, limit: 1_000, seenBy: viewOf(caller) }
        const page = await store.pageTokens(request)
        shown.add(page.length)
        const expected = tokens.filter((token) => sees(caller, token))
        expect(page.map(({ id }) => id)).toEqual(expected.map(({ id }) => id))
      }
      expect(shown.size).toBeGreaterThan(5)
    })
  })

  describe('an edit', () => {
    test('changes name and permissions together, and tells nodes of the permissions alone', async () => {
      const { domain } = await addDomain()
      const token = await createToken('a', [onAccount()])
      const { id: tokenId } = token
      const renamed = await store.editToken({ tokenId, name: 'b', actor, at })
      expect(renamed).toMatchObject({ value: { name: 'b', grants: token.grants }, epoch: null })
      const grants = () => [onDomain(domain.id)]
      const both = await store.editToken({ tokenId, name: 'c', grants, actor, at })
      expect(both).toMatchObject({
        value: { name: 'c', grants: [onDomain(domain.id)] },
        epoch: expect.any(Number),
      })
      expect(await store.getToken(tokenId)).toEqual(done(both))
    })

    test('that may not be made leaves everything as it was', async () => {
      const { token } = await addDomain()
      const edit = { tokenId: token.id, name: 'new', grants: () => [], actor, at }
      expect(await store.editToken(edit)).toMatchObject({ refusal: { reason: 'last-token' } })
      expect(await store.getToken(token.id)).toEqual(token)
    })

    test('cannot give a token more permissions than any has', async () => {
      const token = await createToken('a', [onAccount()])
      const grants = () => Array.from({ length: maxGrants + 1 }, (_, i) => onDomain(i + 1))
      const edit = await store.editToken({ tokenId: token.id, grants, actor, at })
      expect(edit).toMatchObject({ refusal: { reason: 'too-many-grants' } })
    })
  })

  describe('a change that a token asks for', () => {
    async function changes(caller: Actor) {
      const { domain, token } = await addDomain()
      const grants = [onDomain(domain.id)]
      const target = await createToken('target', grants)
      const by = { actor: caller, at }
      const make = { accountId, name: 'x', grants, expiresAt: null, token: minted(), ...by }
      const added = `api${count++}.example`
      return {
        create: () => store.createToken(make),
        edit: () => store.editToken({ tokenId: target.id, name: 'y', ...by }),
        grant: () => store.replaceGrants({ tokenId: target.id, grants, ...by }),
        reveal: () => store.openSealedCopy({ tokenId: target.id, ...by }),
        reset: () =>
          store.resetToken({
            tokenId: target.id,
            windowEndsAt: at + 9,
            token: minted(),
            ...by,
          }),
        move: () =>
          store.changeWindow({
            tokenId: target.id,
            windowEndsAt: at + 8,
            latestMs: 99,
            ...by,
          }),
        undo: () => store.undoReset({ tokenId: target.id, ...by }),
        remove: () => store.deleteToken({ tokenId: target.id, ...by }),
        add: () =>
          store.addDomain({
            accountId,
            name: added,
            state: 'verified',
            token: minted(),
            ...by,
          }),
        removeDomain: () => store.removeDomain({ domainId: domain.id, ...by }),
        token,
      }
    }

    const names = [
      'create',
      'edit',
      'grant',
      'reveal',
      'reset',
      'move',
      'undo',
      'remove',
      'add',
      'removeDomain',
    ] as const

    test('is made if it manages the account', async () => {
      const of = await changes(as(await createToken('Boss', [onAccount()])))
      for (const name of names) expect(await of[name](), name).toMatchObject({ done: true })
    })

    test.each(names)('is refused if it may only look: %s', async (name) => {
      const of = await changes(as(await createToken('Viewer', [onAccount('viewer')])))
      expect(await of[name]()).toEqual({ done: false, refusal: { reason: 'not-permitted' } })
    })

    test.each(names)('is refused if it is gone or has ended: %s', async (name) => {
      const gone = await createToken('Gone', [onAccount()])
      const of = await changes(as(gone))
      await store.deleteToken({ tokenId: gone.id, actor, at })
      const refused = { done: false, refusal: { reason: 'caller-gone' } }
      expect(await of[name]()).toEqual(refused)
      const reset = await createToken('Reset', [onAccount()])
      const ofReset = await changes(as(reset))
      await store.resetToken({
        tokenId: reset.id,
        windowEndsAt: at,
        token: minted(),
        actor,
        at,
      })
      expect(await ofReset[name]()).toEqual(refused)
    })

    test('cannot give more than it has', async () => {
      const [one, two] = [await addDomain(), await addDomain()]
      const caller = as(one.token)
      const own = await createToken('own', [onDomain(one.domain.id)])
      const grants = () => [onDomain(one.domain.id), onDomain(two.domain.id, 'viewer')]
      const edit = await store.editToken({ tokenId: own.id, grants, actor: caller, at })
      expect(edit).toEqual({ done: false, refusal: { reason: 'not-permitted' } })
      expect(await store.getToken(own.id)).toEqual(own)
    })

    test('stands in the audit trail with its id', async () => {
      const boss = await createToken('Boss', [onAccount()])
      const edit = { tokenId: boss.id, name: 'Chief', actor: as(boss), at }
      done(await store.editToken(edit))
      const [event] = await store.listAuditEvents({ accountId, limit: 1 })
      expect(event).toMatchObject({ action: 'token.renamed', actorTokenId: boss.id })
      const before = event?.id ?? 0
      const [older] = await store.listAuditEvents({ accountId, before, limit: 1 })
      expect(older).toMatchObject({ action: 'token.created', actorTokenId: null })
    })
  })

  test('accounts and domains are found by id', async () => {
    const { domain } = await addDomain()
    expect(await store.getDomain(domain.id)).toEqual(domain)
    expect(await store.getDomain(999_999)).toBeUndefined()
    expect(await store.getAccount(accountId)).toMatchObject({ id: accountId, name: 'Acme' })
    expect(await store.getAccount(999_999)).toBeUndefined()
  })
}
