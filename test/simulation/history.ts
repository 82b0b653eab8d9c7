import { type Credential, decide } from '../../src/core/decide.ts'
import type { DomainRecord } from '../../src/core/grants.ts'
import type { Moment } from '../../src/core/sighting.ts'

interface Version<T> {
  readonly version: number
  readonly value: T | undefined
}

interface Records {
  readonly token: Map<string, Version<Credential>[]>
  readonly domain: Map<string, Version<DomainRecord>[]>
}

/**
 * What was true when, in versions: one for each change. What has answered is a floor: a decision that contradicts every
 * version from the floor on was made on an old state.
 */
export function createHistory() {
  const records: Records = { token: new Map(), domain: new Map() }
  const versionOf = new Map<string, number>()
  const floors = new Map<string, number>()
  let version = 0
  let floor = 0

  function since<T>(versions: readonly Version<T>[] | undefined, from: number) {
    const first = versions?.findLastIndex((each) => each.version <= from) ?? -1
    // Before its first version it was not there.
    const values = (versions ?? []).slice(Math.max(0, first)).map(({ value }) => value)
    return first < 0 ? [undefined, ...values] : values
  }

  return {
    begin() {
      version += 1
    },
    version: () => version,
    wrote<K extends keyof Records>(kind: K, name: string, value: unknown) {
      const all = records[kind] as Map<string, Version<unknown>[]>
      const versions = all.get(name) ?? []
      versions.push({ version, value })
      all.set(name, versions)
    },
    tookEpoch({ era, epoch }: Moment) {
      versionOf.set(`${era} ${epoch}`, version)
    },
    /** Nothing is promised for what the database itself has lost. */
    lost({ era, epoch }: Moment) {
      versionOf.delete(`${era} ${epoch}`)
    },
    /** What was there since then may be seen once more, until a change in the new era answers. */
    wentBackTo({ era, epoch }: Moment) {
      floor = Math.min(floor, versionOf.get(`${era} ${epoch}`) ?? 0)
    },
    has: ({ era, epoch }: Moment) => versionOf.has(`${era} ${epoch}`),
    /** A change has answered: with what was in the log before it. */
    answered({ era, epoch }: Moment) {
      floor = Math.max(floor, versionOf.get(`${era} ${epoch}`) ?? 0)
    },
    answeredAt(at: number) {
      floor = Math.max(floor, at)
    },
    /** A token was handed out that nobody can have asked for before. */
    handedOut(digest: string, at: number) {
      floors.set(digest, Math.max(floors.get(digest) ?? 0, at))
    },
    /** What may be answered now. */
    possible(digest: string, domain: string): ReadonlySet<'allowed' | 'denied'> {
      const credentials = since(records.token.get(digest), Math.max(floor, floors.get(digest) ?? 0))
      const domains = since(records.domain.get(domain), floor)
      return new Set(
        credentials.flatMap((credential) =>
          domains.map((record) =>
            decide(credential, [{ name: domain, record }], 0).allowed ? 'allowed' : 'denied',
          ),
        ),
      )
    },
  }
}
