import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Change } from '../../src/service/ports/registry.ts'
import { openStore, type Store } from '../../src/store/store.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import { actor, done, minted, onDomain, start } from './store.contract.ts'

/** Two admins at once, each through a process of its own: the rule that a count and a write alone would not keep. */

const at = start
const rounds = 1_000

let postgres: Postgres
let stores: readonly Store[]

beforeAll(async () => {
  postgres = await startPostgres()
  const url = await postgres.createDatabase()
  stores = await Promise.all([openStore(url), openStore(url), openStore(url)])
  await stores[0]?.migrate()
})
afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()))
  await postgres.stop()
})

function pick<T>(items: readonly T[], index: number): T {
  const item = items[index % items.length]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

/** How many lasting tokens each domain of the account has: counted here, not by the store's own rule. */
async function lastingTokens(store: Store, accountId: number): Promise<number[]> {
  const tokens = (await store.listTokens(accountId)).filter(
    ({ expiresAt, windowEndsAt }) => expiresAt === null && windowEndsAt === null,
  )
  const domains = await store.listDomains(accountId)
  return domains.map(
    ({ id }) =>
      tokens.filter(({ grants }) =>
        grants.some(
          ({ resource, level }) =>
            resource.type === 'domain' && resource.id === id && level === 'admin',
        ),
      ).length,
  )
}

test(`every domain keeps a lasting token through ${rounds} rounds of concurrent changes`, async () => {
  const step = fc.record({ how: fc.nat(5), which: fc.nat(20), by: fc.nat(2) })
  const steps = fc.sample(fc.array(step, { minLength: 2, maxLength: 5 }), {
    numRuns: rounds,
    seed: 7,
  })
  const outcomes = { done: 0, lastToken: 0 }

  for (const [round, changes] of steps.entries()) {
    const store = pick(stores, 0)
    const accountId = done(await store.createAccount({ name: `r${round}`, actor, at })).id
    const domains: number[] = []
    const tokens: number[] = []
    for (const letter of ['a', 'b']) {
      const name = `${letter}${round}.example`
      const request = { accountId, name, state: 'verified', token: minted(), actor, at } as const
      const added = done(await store.addDomain(request))
      domains.push(added.domain.id)
      tokens.push(added.token.id)
    }
    const both = domains.map((id) => onDomain(id))
    const request = { accountId, name: 'both', grants: both, expiresAt: null, actor, at }
    tokens.push(done(await store.createToken({ ...request, token: minted() })).id)

    const results = await Promise.all(
      changes.map(({ how, which, by }): Promise<Change<unknown>> => {
        const through = pick(stores, by)
        const tokenId = pick(tokens, which)
        if (how < 3) return through.deleteToken({ tokenId, actor, at })
        const grants = how === 3 ? [] : [onDomain(pick(domains, which), 'viewer')]
        if (how < 5) return through.replaceGrants({ tokenId, grants, actor, at })
        const reset = { tokenId, windowEndsAt: at, expiresAt: at + 1, token: minted(), actor, at }
        return through.resetToken(reset)
      }),
    )
    for (const result of results) {
      if (result.done) outcomes.done += 1
      else if (result.refusal.reason === 'last-token') outcomes.lastToken += 1
    }
    const counts = await lastingTokens(store, accountId)
    expect(Math.min(...counts), `round ${round}: ${JSON.stringify(changes)}`).toBeGreaterThan(0)
  }
  // A run in which nothing was refused, or nothing done, would have shown nothing.
  expect(outcomes.done).toBeGreaterThan(rounds / 2)
  expect(outcomes.lastToken).toBeGreaterThan(rounds / 10)
}, 120_000)

test('domains are removed while tokens on them change, and nothing waits for ever', async () => {
  const store = pick(stores, 0)
  for (let round = 0; round < 100; round++) {
    const accountId = done(await store.createAccount({ name: `x${round}`, actor, at })).id
    const add = async (letter: string) => {
      const name = `${letter}${round}.x.example`
      const request = { accountId, name, state: 'verified', token: minted(), actor, at } as const
      return done(await store.addDomain(request))
    }
    const [one, two] = [await add('a'), await add('b')]
    const grants = [onDomain(one.domain.id), onDomain(two.domain.id)]
    const request = { accountId, name: 'both', grants, expiresAt: null, actor, at }
    const tokenId = done(await store.createToken({ ...request, token: minted() })).id
    const changes = await Promise.all([
      pick(stores, 0).removeDomain({ domainId: one.domain.id, actor, at }),
      pick(stores, 1).resetToken({ tokenId, windowEndsAt: at + 1, token: minted(), actor, at }),
      pick(stores, 2).replaceGrants({ tokenId: two.token.id, grants, actor, at }),
      pick(stores, 1).removeDomain({ domainId: two.domain.id, actor, at }),
    ])
    expect(changes.filter((change) => change.done).length).toBeGreaterThanOrEqual(3)
  }
}, 60_000)
