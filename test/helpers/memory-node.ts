import { type CachedLookupDeps, createCachedLookup } from '../../src/cache/cached-lookup.ts'
import { revocationKey } from '../../src/core/revocation-key.ts'
import { digestToken } from '../../src/core/token.ts'
import { createKnowledge } from '../../src/fleet/knowledge.ts'
import type { Trust } from '../../src/service/ports/lookup.ts'
import { createFakeClock } from './fake-clock.ts'
import { createMemoryLookup } from './memory-lookup.ts'

/** A node's cache over a store in memory, with a revocation log that the node reads when it is told to. */
export function createMemoryNode(more: Partial<CachedLookupDeps> = {}) {
  const store = createMemoryLookup()
  const knowledge = createKnowledge()
  const clock = createFakeClock()
  const log: (readonly string[])[] = []

  /** The node applies what is in the log. */
  function catchUp() {
    const asked = knowledge.moment()
    const entries = log
      .map((keys, i) => ({ epoch: i + 1, keys }))
      .filter(({ epoch }) => epoch > (asked?.epoch ?? 0))
    const { era } = store.moment
    knowledge.apply({ era, epoch: log.length, completeFrom: 0, entries, renewal: 1, at: 0 }, asked)
  }
  catchUp()

  const lookup = createCachedLookup({
    under: store,
    judge: knowledge.judge,
    catchUp: async () => catchUp(),
    clock,
    maxEntries: 100,
    ...more,
  })
  const trust: Trust & { hasLease: boolean } = {
    hasLease: true,
    mayDecide: () => trust.hasLease,
    believes: (sighting) => knowledge.judge(sighting) === 'believed',
  }

  /** A change in the store with its entry in the log, which the node does not know of yet. */
  function change(bearerToken: string, work: () => void) {
    work()
    log.push([revocationKey.token(digestToken(bearerToken))])
    store.moment = { ...store.moment, epoch: log.length }
  }

  return {
    store,
    knowledge,
    clock,
    lookup,
    trust,
    catchUp,
    change,
    /** A deletion as far as it has got when it answers: the node has applied it. */
    revoke(bearerToken: string) {
      change(bearerToken, () => store.revoke(bearerToken))
      catchUp()
    },
  }
}
