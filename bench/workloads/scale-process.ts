import { Redis } from 'ioredis'
import { createRedisCache } from '../../src/cache/redis-cache.ts'
import { systemClock } from '../../src/clock.ts'
import { andThen } from '../../src/core/maybe-promise.ts'
import { createDatabaseClock } from '../../src/fleet/database-clock.ts'
import { createLog } from '../../src/log.ts'
import { joinFleet } from '../../src/membership.ts'
import { systemRandom } from '../../src/random.ts'
import { openStore } from '../../src/store/store.ts'
import { createLatencies } from '../measure/latency.ts'
import { serveAgent } from '../processes/agent.ts'
import { bulkDomain, bulkToken, fillPostgres, fillSqlite } from '../subjects/bulk-store.ts'
import { tokenPrefix } from '../subjects/fixture.ts'
import { createZipf } from '../subjects/seeded.ts'

/** Fills stores, and is a node over them whose memory can be weighed: started with --expose-gc. */

interface NodeSetting {
  readonly databaseUrl: string
  readonly cacheEntries: number
  readonly redisUrl?: string
}

async function withNode<T>(
  { databaseUrl, cacheEntries, redisUrl }: NodeSetting,
  work: (node: {
    readonly tokens: { readonly store: number }
    ask(index: number): unknown
  }) => Promise<T>,
): Promise<T> {
  const store = await openStore(databaseUrl)
  const clock = createDatabaseClock(systemClock)
  const found = { memory: 0, shared: 0, store: 0 }
  const redis = redisUrl === undefined ? undefined : new Redis(redisUrl)
  const { authenticator, leave } = await joinFleet(
    { leaseMs: 60_000, outage: { graceMs: 0 }, cacheEntries, tokenPrefix },
    {
      ...{ store, clock, ownClock: systemClock, random: systemRandom, log: createLog('silent') },
      metrics: { lookedUp: (tier) => void found[tier]++, watchNode() {} },
      shared:
        redis &&
        ((era) => createRedisCache({ redis, macKey: new Uint8Array(32).fill(7), era, clock })),
    },
  )
  try {
    return await work({
      tokens: found,
      ask(index) {
        const presented = authenticator.present(bulkToken(index))
        if (presented === undefined) throw new Error('the token is malformed')
        const verdict = authenticator.authorise(presented, [bulkDomain])
        return andThen(verdict, expectAllowed)
      },
    })
  } finally {
    await leave()
    await store.close()
    redis?.disconnect()
  }
}

function expectAllowed({ allowed }: { readonly allowed: boolean }) {
  if (!allowed) throw new Error('a token of the store was refused')
}

function weigh(): number {
  if (globalThis.gc === undefined) throw new Error('started without --expose-gc')
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const calls = {
  fillSqlite: ({ file, tokens }: { readonly file: string; readonly tokens: number }) =>
    fillSqlite(file, tokens),

  fillPostgres: ({ url, tokens }: { readonly url: string; readonly tokens: number }) =>
    fillPostgres(url, tokens),

  /** What each token in memory weighs. */
  weighCache: ({
    databaseUrl,
    tokens,
  }: {
    readonly databaseUrl: string
    readonly tokens: number
  }) =>
    withNode({ databaseUrl, cacheEntries: tokens }, async ({ ask }) => {
      // What is made once is not the tokens'.
      await ask(0)
      const before = weigh()
      for (let i = 1; i < tokens; i++) await ask(i)
      return (weigh() - before) / (tokens - 1)
    }),

  /** What each token in Redis weighs, by Redis' own account. */
  async weighRedis({
    databaseUrl,
    redisUrl,
    tokens,
  }: {
    readonly databaseUrl: string
    readonly redisUrl: string
    readonly tokens: number
  }) {
    const client = new Redis(redisUrl)
    const used = async () =>
      Number(/^used_memory:(\d+)/m.exec(await client.info('memory'))?.[1] ?? Number.NaN)
    const before = await used()
    await withNode({ databaseUrl, redisUrl, cacheEntries: tokens }, async ({ ask }) => {
      for (let i = 0; i < tokens; i++) await ask(i)
    })
    const kept = await client.dbsize()
    const perEntry = ((await used()) - before) / kept
    client.disconnect()
    // One more is the domain's.
    if (kept < tokens) throw new Error(`of ${tokens} tokens ${kept} are in Redis`)
    return perEntry
  },

  /** Uses tokens as they are used, with a cache of the usual size. */
  useLikeZipf: ({
    databaseUrl,
    cacheEntries,
    tokens,
    uses,
    seed,
  }: NodeSetting & { readonly tokens: number; readonly uses: number; readonly seed: number }) =>
    withNode({ databaseUrl, cacheEntries }, async ({ ask, tokens: found }) => {
      const nextRank = createZipf(tokens, seed)
      const latencies = createLatencies()
      for (let i = 0; i < uses; i++) {
        const rank = nextRank()
        const askedAt = performance.now()
        const answer = ask(rank)
        if (answer instanceof Promise) await answer
        latencies.record((performance.now() - askedAt) * 1e6)
      }
      // The one domain is looked up once.
      return { hitRate: 1 - (found.store - 1) / uses, latencies: latencies.encode() }
    }),
}
export type ScaleProcess = typeof calls

serveAgent(calls)
