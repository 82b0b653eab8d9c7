import { hash } from 'node:crypto'
import { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import type { Tier } from '../../src/cache/cached-lookup.ts'
import { createRedisCache } from '../../src/cache/redis-cache.ts'
import { systemClock } from '../../src/clock.ts'
import { readCredential } from '../../src/core/credential-fields.ts'
import { mintToken } from '../../src/core/token.ts'
import { createDatabaseClock } from '../../src/fleet/database-clock.ts'
import { createLog } from '../../src/log.ts'
import { joinFleet } from '../../src/membership.ts'
import { systemRandom } from '../../src/random.ts'
import type { Verdict } from '../../src/service/authenticate.ts'
import { openStore } from '../../src/store/store.ts'
import { createLatencies, type EncodedLatencies } from '../measure/latency.ts'
import { serveAgent } from '../processes/agent.ts'
import { type Sender, tokenPrefix } from '../subjects/fixture.ts'
import { createSeededBytes } from '../subjects/seeded.ts'

/** A node of the fleet without edges, in a process of its own: from the header fields to the decision and nothing else. */

export interface CheckSetting {
  readonly databaseUrl: string
  readonly redisUrl?: string
  readonly cacheEntries: number
  readonly senders: readonly Sender[]
}

export interface CheckCost {
  readonly checks: number
  readonly wallNanos: number
  readonly cpuNanos: number
  readonly latencies: EncodedLatencies
}

type Outcome = Verdict | 'malformed'
type Check = (index: number) => Outcome | Promise<Outcome>

/** Between two looks at the clock. */
const batch = 256
const macKey = new Uint8Array(32).fill(7)

let senders: readonly Sender[] = []
let fields: readonly string[][] = []
let join: Awaited<ReturnType<typeof joinFleet>> | undefined
let redis: Redis | undefined
const found: Record<Tier, number> = { memory: 0, shared: 0, store: 0 }

function fieldsWith(token: string): string[] {
  // As they come from a client, the credential in the middle.
  return [
    ...['Host', 'send.api.example', 'User-Agent', 'bench/1'],
    ...['Authorization', `Bearer ${token}`, 'Content-Type', 'application/json'],
  ]
}

function check(
  rawHeaders: readonly string[],
  domain: string,
  { isAnew = false } = {},
): Outcome | Promise<Outcome> {
  if (join === undefined) throw new Error('there is no node')
  const credential = readCredential(rawHeaders)
  if (credential.found !== 'one') throw new Error('the credential was not found')
  const presented = join.authenticator.present(credential.bearerToken)
  if (presented === undefined) return 'malformed'
  // As for a token that sends as several domains in turn: its last clearance was for another.
  if (isAnew) presented.clearedFor = []
  return join.authenticator.authorise(presented, [domain])
}

function checkSender(index: number, how?: { readonly isAnew: boolean }) {
  const i = index % senders.length
  return check(fields[i] as string[], (senders[i] as Sender).domain, how)
}
const checkKnown: Check = (index) => checkSender(index)

const strangers = createSeededBytes(99)
const unknownFields = fieldsWith(mintToken(tokenPrefix, strangers))
const malformedFields = fieldsWith(`${tokenPrefix}${'x'.repeat(36)}`)
const anyDomain = 'bench-sender-0.com'

/** What each kind of check asks, how it ends, and where the credential was found. */
const kinds = {
  known: { ask: checkKnown, ends: isAllowed },
  anew: { ask: (index: number) => checkSender(index, { isAnew: true }), ends: isAllowed },
  unknown: { ask: () => check(unknownFields, anyDomain), ends: isUnknown },
  strangers: {
    ask: () => check(fieldsWith(mintToken(tokenPrefix, strangers)), anyDomain),
    ends: isUnknown,
  },
  malformed: {
    ask: () => check(malformedFields, anyDomain),
    ends: (outcome: Outcome) => outcome === 'malformed',
  },
} satisfies Record<string, { ask: Check; ends(outcome: Outcome): boolean }>

function isVerdict(outcome: Outcome): outcome is Verdict {
  return outcome !== 'malformed'
}

function isAllowed(outcome: Outcome): boolean {
  return isVerdict(outcome) && outcome.allowed
}

function isUnknown(outcome: Outcome): boolean {
  return isVerdict(outcome) && !outcome.allowed && outcome.reason === 'unknown-token'
}

/** Asks one after the other for a while. What comes at once is not waited for. */
async function measure(ask: (index: number) => unknown, forMs: number): Promise<CheckCost> {
  const latencies = createLatencies()
  const startedAt = performance.now()
  let checks = 0
  while (performance.now() - startedAt < forMs) {
    for (let i = 0; i < batch; i++) {
      const askedAt = performance.now()
      const answer = ask(checks++)
      if (answer instanceof Promise) await answer
      latencies.record((performance.now() - askedAt) * 1e6)
    }
  }
  // The cost of one, without a look at the clock and a histogram for each.
  const cpuBefore = process.cpuUsage()
  const before = performance.now()
  let more = 0
  while (performance.now() - before < forMs) {
    for (let i = 0; i < batch; i++) {
      const answer = ask(checks + more++)
      if (answer instanceof Promise) await answer
    }
  }
  const wallNanos = ((performance.now() - before) * 1e6) / more
  const { user, system } = process.cpuUsage(cpuBefore)
  return {
    checks: checks + more,
    wallNanos,
    cpuNanos: ((user + system) * 1e3) / more,
    latencies: latencies.encode(),
  }
}

const calls = {
  async open({ databaseUrl, redisUrl, cacheEntries, senders: given }: CheckSetting) {
    senders = given
    fields = senders.map(({ token }) => fieldsWith(token))
    const store = await openStore(databaseUrl)
    const clock = createDatabaseClock(systemClock)
    if (redisUrl !== undefined) {
      redis = new Redis(redisUrl, { enableOfflineQueue: false, lazyConnect: true })
      await redis.connect()
    }
    const client = redis
    join = await joinFleet(
      { leaseMs: 10_000, outage: { graceMs: 0 }, cacheEntries, tokenPrefix },
      {
        store,
        clock,
        ownClock: systemClock,
        random: systemRandom,
        log: createLog('silent'),
        metrics: { lookedUp: (tier) => void found[tier]++, watchNode() {} },
        shared: client && ((era) => createRedisCache({ redis: client, macKey, era, clock })),
      },
    )
  },

  /** Each once, so that the tier that is meant has them all. */
  async fill() {
    for (let i = 0; i < senders.length; i++) await checkKnown(i)
  },

  /** Throws when an outcome is another one, or a check found its credential anywhere but where it should. */
  async measure({
    kind,
    tier,
    forMs,
  }: {
    readonly kind: keyof typeof kinds
    /** Undefined: memory alone. */
    readonly tier: Exclude<Tier, 'memory'> | undefined
    readonly forMs: number
  }): Promise<CheckCost> {
    const { ask, ends } = kinds[kind]
    const outcome = await ask(0)
    if (!ends(outcome)) throw new Error(`${kind}: ${JSON.stringify(outcome)}`)
    Object.assign(found, { memory: 0, shared: 0, store: 0 })
    const cost = await measure(ask, forMs)
    const last = await ask(1)
    if (!ends(last)) throw new Error(`${kind}: ${JSON.stringify(last)}`)
    const elsewhere = (Object.keys(found) as Tier[]).filter(
      (one) => one !== tier && one !== 'memory',
    )
    // A negative is kept for seconds, then asked for anew.
    const astray = elsewhere.reduce((sum, one) => sum + found[one], 0)
    if (astray > 10 || (tier !== undefined && found[tier] < cost.checks)) {
      throw new Error(`${kind}: not all came from ${tier}: ${JSON.stringify(found)}`)
    }
    return cost
  },

  /** What stands below: the digest and one look into an LRU cache; nothing of ours. */
  async measureBareMemory({ forMs }: { readonly forMs: number }): Promise<CheckCost> {
    const digests = senders.map(({ token }) => hash('sha256', token, 'base64url'))
    const cache = new LRUCache<string, object>({ max: 100_000 })
    for (const digest of digests) cache.set(digest, {})
    let missing = 0
    const cost = await measure((index) => {
      const token = (senders[index % senders.length] as Sender).token
      if (cache.get(hash('sha256', token, 'base64url')) === undefined) missing += 1
    }, forMs)
    if (missing > 0) throw new Error('the cache lost something')
    return cost
  },

  /** One GET of a value of the same size by the same client. */
  async measureBareRedis({ forMs }: { readonly forMs: number }): Promise<CheckCost> {
    const client = redis
    if (client === undefined) throw new Error('there is no Redis')
    await client.set('bare', 'x'.repeat(250))
    return measure(() => client.get('bare'), forMs)
  },

  async close() {
    await join?.leave()
    redis?.disconnect()
  },
}
export type CheckProcess = typeof calls

serveAgent(calls)
