import type { Clock } from '../clock.ts'
import type { Credential } from '../core/decide.ts'
import type { DomainRecord } from '../core/grants.ts'
import type { Belief, Sighting } from '../core/sighting.ts'
import type { Answer, Lookup } from '../service/ports/lookup.ts'
import { createMemory, type Memory } from './memory.ts'

/** A cache that processes share. It may lie, forget and bring back: every record is judged like any other. */
export interface SharedCache {
  findCredential(digest: string): Promise<Sighting<Credential> | undefined>
  findDomain(name: string): Promise<Sighting<DomainRecord> | undefined>
  /** Keeps what was just read from the store. Never waits, never throws. */
  keepCredential(digest: string, sighting: Sighting<Credential>): void
  keepDomain(name: string, sighting: Sighting<DomainRecord>): void
}

/** Where an answer came from. */
export type Tier = 'memory' | 'shared' | 'store'

export interface CachedLookupDeps {
  readonly under: Lookup
  readonly shared?: SharedCache | undefined
  readonly judge: (sighting: Sighting<unknown>) => Belief
  /** Applies what the log has got meanwhile: a record from a later moment cannot be judged before. */
  readonly catchUp: () => Promise<void>
  readonly clock: Pick<Clock, 'monotonic'>
  /** Tokens, and as many domains, kept in memory. */
  readonly maxEntries: number
  readonly onLookup?: (tier: Tier) => void
}

/** A lookup around a lookup: memory over a shared cache over the store. What is in memory and still true comes at once. */
export function createCachedLookup(deps: CachedLookupDeps): Lookup {
  const { under, shared, clock, maxEntries } = deps
  const credentials = createMemory<Credential>(clock, { maxPositives: maxEntries })
  const domains = createMemory<DomainRecord>(clock, { maxPositives: maxEntries })
  return {
    findCredential: createCache(deps, credentials, {
      read: (digest) => under.findCredential(digest),
      readShared: shared && ((digest) => shared.findCredential(digest)),
      keepShared: shared && ((digest, sighting) => shared.keepCredential(digest, sighting)),
    }),
    findDomain: createCache(deps, domains, {
      read: (name) => under.findDomain(name),
      readShared: shared && ((name) => shared.findDomain(name)),
      keepShared: shared && ((name, sighting) => shared.keepDomain(name, sighting)),
    }),
    holdsCredential(digest) {
      const kept = credentials.get(digest)
      return kept?.value !== undefined && deps.judge(kept) === 'believed'
    },
  }
}

interface Source<T> {
  readonly read: (name: string) => Answer<T>
  readonly readShared: ((name: string) => Promise<Sighting<T> | undefined>) | undefined
  readonly keepShared: ((name: string, sighting: Sighting<T>) => void) | undefined
}

function createCache<T>(
  { judge, catchUp, onLookup }: Pick<CachedLookupDeps, 'judge' | 'catchUp' | 'onLookup'>,
  memory: Memory<T>,
  { read, readShared, keepShared }: Source<T>,
): (name: string) => Answer<T> {
  /** Many who ask for one thing at once are one question. */
  const fills = new Map<string, Promise<Sighting<T>>>()

  async function fill(name: string): Promise<Sighting<T>> {
    try {
      const known = await readShared?.(name)
      if (known !== undefined && judge(known) === 'believed') {
        onLookup?.('shared')
        memory.put(name, known)
        return known
      }
      onLookup?.('store')
      const sighting = await read(name)
      if (sighting.value !== undefined) keepShared?.(name, sighting)
      if (judge(sighting) === 'ahead') await catchUp()
      // What was revoked while it was read is handed to those who wait, who judge it again, but it is not kept.
      if (judge(sighting) === 'believed') memory.put(name, sighting)
      return sighting
    } finally {
      fills.delete(name)
    }
  }

  return function find(name) {
    const kept = memory.get(name)
    if (kept !== undefined) {
      if (judge(kept) === 'believed') {
        onLookup?.('memory')
        return kept
      }
      memory.delete(name)
    }
    const under = fills.get(name)
    if (under !== undefined) return under
    const started = fill(name)
    fills.set(name, started)
    return started
  }
}
