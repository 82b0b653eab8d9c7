import type { Credential } from '../../src/core/decide.ts'
import type { DomainRecord } from '../../src/core/grants.ts'
import { andThen, type MaybePromise } from '../../src/core/maybe-promise.ts'
import { credentialSighting, domainSighting, type Moment } from '../../src/core/sighting.ts'
import { digestToken } from '../../src/core/token.ts'
import type { Lookup } from '../../src/service/ports/lookup.ts'

/**
 * A lookup that counts, changes, and fails when it is told to. It answers at once, as memory does; with a promise, as a store
 * does, where `before` or `after` gives one.
 */
export interface MemoryLookup extends Lookup {
  /** Adds a token with Domain Admin on these domains, which it adds too. */
  allow(bearerToken: string, domains: readonly string[], more?: Partial<Credential>): Credential
  revoke(bearerToken: string): void
  /** Every question from now on is answered with this error, until it is undefined. */
  fault: Error | undefined
  /** Called before each question is answered: where a test holds it back. */
  before: () => MaybePromise<void>
  /** Called after its answer was read, and before that is handed over. */
  after: () => MaybePromise<void>
  /** The moment that every answer is of. */
  moment: Moment
  questions: number
}

export function createMemoryLookup(): MemoryLookup {
  const credentials = new Map<string, Credential>()
  const domains = new Map<string, DomainRecord>()
  let ids = 0

  function addDomain(name: string, accountId: number): DomainRecord {
    const known = domains.get(name)
    if (known !== undefined) return known
    const record: DomainRecord = { id: ++ids, accountId, name, state: 'verified' }
    domains.set(name, record)
    return record
  }

  function answer<T>(value: () => T): MaybePromise<T> {
    lookup.questions += 1
    return andThen(lookup.before(), () => {
      if (lookup.fault !== undefined) throw lookup.fault
      const found = value()
      return andThen(lookup.after(), () => found)
    })
  }

  const lookup: MemoryLookup = {
    fault: undefined,
    before: () => {},
    after: () => {},
    moment: { era: 'test', epoch: 0 },
    questions: 0,
    allow(bearerToken, names, more = {}) {
      const accountId = more.accountId ?? 1
      const credential: Credential = {
        tokenId: ++ids,
        accountId,
        expiresAt: null,
        windowEndsAt: null,
        grants: names.map((name) => ({
          resource: { type: 'domain', id: addDomain(name, accountId).id },
          level: 'admin',
        })),
        ...more,
      }
      credentials.set(digestToken(bearerToken), credential)
      return credential
    },
    revoke(bearerToken) {
      credentials.delete(digestToken(bearerToken))
    },
    findCredential: (digest) =>
      answer(() => credentialSighting(digest, credentials.get(digest), lookup.moment)),
    findDomain: (name) => answer(() => domainSighting(name, domains.get(name), lookup.moment)),
  }
  return lookup
}
