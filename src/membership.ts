import { hostname } from 'node:os'
import { createCachedLookup, type SharedCache } from './cache/cached-lookup.ts'
import { createRecentTokens } from './cache/recent-tokens.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { DatabaseClock } from './fleet/database-clock.ts'
import { createKnowledge } from './fleet/knowledge.ts'
import { createLease } from './fleet/lease.ts'
import { createNode, type NodeDeps } from './fleet/node.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { Random } from './random.ts'
import { type Authenticator, createAuthenticator } from './service/authenticate.ts'
import type { Trust } from './service/ports/lookup.ts'
import type { Store } from './store/store.ts'

interface MembershipDeps {
  readonly store: Store
  readonly clock: DatabaseClock
  /** This machine's. The database's runs on its monotonic clock alone, and would not show that the machine was asleep. */
  readonly ownClock: Clock
  readonly random: Random
  readonly log: Log
  readonly metrics: Pick<Metrics, 'lookedUp' | 'watchNode'>
  readonly onIncarnation?: ((incarnation: string) => void) | undefined
  readonly later?: NodeDeps['later']
  /** Made for the era that this node is in. */
  readonly shared?: ((era: () => string | undefined) => SharedCache) | undefined
}

/** This process as a node that decides: from its cache, as long as it can be sure to know every change. */
export interface Membership {
  readonly authenticator: Authenticator
  /** Whether it can decide at all, and why not. */
  trouble(): string | undefined
  /** A hint came: there may be something new in the log. */
  hint(): void
  leave(): Promise<void>
}

/** A node whose clock differs by this much from the database's is not to be sent traffic: something is wrong with it. */
const maxSkewMs = 5_000

/** Joins the fleet; resolves when the node holds its first lease. */
export async function joinFleet(
  config: Pick<Config, 'leaseMs' | 'outage' | 'cacheEntries' | 'tokenPrefix'>,
  { store, clock, ownClock, random, log, metrics, shared, onIncarnation, later }: MembershipDeps,
): Promise<Membership> {
  const holdMs = config.leaseMs + config.outage.graceMs
  const knowledge = createKnowledge()
  const lease = createLease(ownClock, holdMs)
  const node = createNode({
    registry: store,
    knowledge,
    lease,
    clock,
    random,
    log,
    name: `${hostname()}:${process.pid}`,
    leaseMs: config.leaseMs,
    holdMs,
    onIncarnation,
    ...(later === undefined ? {} : { later }),
  })
  const trust: Trust = {
    mayDecide: lease.holds,
    believes: (sighting) => knowledge.judge(sighting) === 'believed',
  }
  const lookup = createCachedLookup({
    under: store,
    shared: shared?.(() => knowledge.moment()?.era),
    judge: (sighting) => knowledge.judge(sighting),
    catchUp: node.catchUp,
    clock,
    maxEntries: config.cacheEntries,
    onLookup: metrics.lookedUp,
  })
  await node.join()
  metrics.watchNode({
    leaseMsLeft: lease.left,
    epoch: () => knowledge.moment()?.epoch ?? 0,
    skewMs: clock.skew,
  })

  return {
    authenticator: createAuthenticator({
      lookup,
      trust,
      recentTokens: createRecentTokens(config.cacheEntries),
      clock,
      tokenPrefix: config.tokenPrefix,
    }),
    trouble() {
      if (!lease.holds()) return 'this node has no lease: the store cannot be reached'
      if (Math.abs(clock.skew()) <= maxSkewMs) return undefined
      return `the clock of this machine differs from the database's by ${clock.skew()} ms`
    },
    hint() {
      node.catchUp().catch((error) => log.warn({ event: 'pull_failed', error: String(error) }))
    },
    leave: node.leave,
  }
}
