import type { Credential } from '../../src/core/decide.ts'
import type { DomainRecord, Grant } from '../../src/core/grants.ts'
import { revocationKey } from '../../src/core/revocation-key.ts'
import { credentialSighting, domainSighting, type Moment } from '../../src/core/sighting.ts'
import type { FleetRegistry } from '../../src/service/ports/fleet.ts'
import type { Lookup } from '../../src/service/ports/lookup.ts'
import type { Change, Refusal } from '../../src/service/ports/registry.ts'
import { createHistory } from './history.ts'
import type { Network } from './network.ts'
import type { Process } from './process.ts'
import type { World } from './world.ts'

/**
 * The database as a set of statements, each of which takes effect at one instant. How long it is on its way there and back,
 * and whether its answer arrives, is the network's to say.
 */

interface NodeState {
  readonly renewal: number
  readonly renewedAt: number
  readonly appliedEpoch: number
  readonly holdMs: number
  readonly fenced: boolean
}

interface State {
  moment: Moment
  eraAt: number
  prunedThrough: number
  /** Of the write-ahead log, and the one that the clock's row has noted. */
  timeline: number
  notedTimeline: number
  readonly log: Map<number, readonly string[]>
  readonly nodes: Map<string, NodeState>
  readonly credentials: Map<string, Credential>
  readonly domains: Map<string, DomainRecord>
  /** By token id. */
  readonly tombstones: Set<number>
}

/** What the statements of `store/` would do if they were written differently: each is a fault to be found. */
export interface DatabaseFaults {
  /** The renewal, and the row of a new node, are committed together with the reading of the log. */
  readonly renewsAndReadsInOneTransaction?: boolean
  /** Epochs come from a sequence: they do not commit in their order. */
  readonly epochsFromSequence?: boolean
  /** The reading locks the clock's row: it waits, and then sees a newer epoch than its snapshot of the log has. */
  readonly locksInTheReading?: boolean
  /** The log does not say through where it was pruned. */
  readonly forgetsThePruningMark?: boolean
  /** A repeated deletion has nothing to wait for. */
  readonly repeatedDeletionAnswersAtOnce?: boolean
  /** A removed domain is announced by the tokens that it touches now. */
  readonly announcesTokensOnly?: boolean
  /** The new incarnation of a node takes over the row of the old one. */
  readonly overwritesNodes?: boolean
  /** A node is shut out by the number of its renewal, which a promotion may give again. */
  readonly fencesByNumberAlone?: boolean
  /** Rows of nodes are kept where they can get lost. */
  readonly losesNodes?: boolean
  /** An acknowledgement is kept whatever era it is of. */
  readonly acknowledgesAcrossEras?: boolean
  /** An acknowledgement may be of an epoch that this database does not have. */
  readonly acknowledgesTheUnknown?: boolean
}

export type ModelDatabase = ReturnType<typeof createModelDatabase>

const keptSnapshots = 6
export const accountId = 1

export function createModelDatabase(world: World, network: Network, faults: DatabaseFaults = {}) {
  let state: State = {
    moment: { era: 'era 1', epoch: 0 },
    eraAt: Number.NEGATIVE_INFINITY,
    prunedThrough: 0,
    timeline: 1,
    notedTimeline: 1,
    log: new Map(),
    nodes: new Map(),
    credentials: new Map(),
    domains: new Map(),
    tombstones: new Set(),
  }
  const eras = [state.moment.era]
  const snapshots: State[] = []
  const history = createHistory()
  /** Which entry of the log a change is: its number alone may be given twice. */
  const moments = new WeakMap<Change<unknown>, Moment>()
  const versions = new WeakMap<Change<unknown>, number>()
  const watchers = new Set<{ readonly process: Process; readonly listener: () => void }>()
  /** Rows of a transaction that is not committed yet. */
  const uncommitted = new Map<string, NodeState>()
  let ids = 0
  let wallOffset = 0

  const nowOf = () => world.now() + wallOffset

  function takeEpoch(keys: readonly string[]): number {
    if (state.timeline !== state.notedTimeline) {
      const era = `era ${eras.length + 1}`
      eras.push(era)
      state.moment = { era, epoch: state.moment.epoch }
      state.eraAt = nowOf()
      state.notedTimeline = state.timeline
    }
    const epoch = state.moment.epoch + 1
    state.moment = { era: state.moment.era, epoch }
    if (faults.epochsFromSequence)
      world.after(world.between(0, 60), () => state.log.set(epoch, keys))
    else state.log.set(epoch, keys)
    history.tookEpoch(state.moment)
    for (const { process, listener } of watchers) {
      if (network.losesPush()) continue
      const hint = listener as (epoch: number) => void
      world.after(network.tripMs(), () => process.deliver(() => hint(epoch)))
    }
    return epoch
  }

  function putCredential(digest: string, value: Credential | undefined) {
    if (value === undefined) state.credentials.delete(digest)
    else state.credentials.set(digest, value)
    history.wrote('token', digest, value)
  }

  function putDomain(name: string, value: DomainRecord | undefined) {
    if (value === undefined) state.domains.delete(name)
    else state.domains.set(name, value)
    history.wrote('domain', name, value)
  }

  function copyOf(from: State): State {
    return {
      ...from,
      log: new Map(from.log),
      nodes: new Map(from.nodes),
      credentials: new Map(from.credentials),
      domains: new Map(from.domains),
      tombstones: new Set(from.tombstones),
    }
  }

  /** One transaction that is done or refused. */
  function change<T>(
    process: Process,
    work: () => { value: T; keys?: readonly string[] | 'current' } | { refusal: Refusal },
  ): Promise<Change<T>> {
    return network.statement<Change<T>>(process, () => {
      const changed = commit(work)
      versions.set(changed, history.version())
      return changed
    })
  }

  function commit<T>(
    work: () => { value: T; keys?: readonly string[] | 'current' } | { refusal: Refusal },
  ): Change<T> {
    snapshots.push(copyOf(state))
    if (snapshots.length > keptSnapshots) snapshots.shift()
    history.begin()
    const result = work()
    if ('refusal' in result) return { done: false, refusal: result.refusal }
    const { value, keys } = result
    if (keys === undefined) return { done: true, value, epoch: null }
    const epoch = keys === 'current' ? state.moment.epoch : takeEpoch(keys)
    const changed = { done: true, value, epoch } as const
    moments.set(changed, state.moment)
    return changed
  }

  function tokenOf(tokenId: number) {
    for (const [digest, credential] of state.credentials) {
      if (credential.tokenId === tokenId) return { digest, credential }
    }
    return undefined
  }

  const noSuchToken = { refusal: { reason: 'no-such-token' } as const }

  /** Like `appliedEpoch` of store/fleet.ts. */
  function acknowledged(before: number, applied: Moment | undefined): number {
    const { era, epoch } = state.moment
    if (applied?.era !== era && !faults.acknowledgesAcrossEras) return 0
    const known = faults.acknowledgesTheUnknown ? Number.POSITIVE_INFINITY : epoch
    return Math.min(Math.max(before, applied?.epoch ?? 0), known)
  }

  function registry(process: Process): Omit<FleetRegistry, 'listNodes' | 'beginEra'> & Lookup {
    const statement = <T>(effect: () => T) => network.statement(process, effect)
    const rowsFor = (incarnation: string) =>
      uncommitted.has(incarnation) ? uncommitted : state.nodes

    return {
      addNode: ({ incarnation, holdMs, at }) =>
        statement(() => {
          const row = { renewal: 0, renewedAt: at, appliedEpoch: 0, holdMs, fenced: false }
          if (state.nodes.has(incarnation) && !faults.overwritesNodes) throw new Error('duplicate')
          if (faults.renewsAndReadsInOneTransaction) uncommitted.set(incarnation, row)
          else state.nodes.set(incarnation, row)
        }),
      renewNode: ({ incarnation, applied, at }) =>
        statement(() => {
          const rows = rowsFor(incarnation)
          const row = rows.get(incarnation)
          if (row === undefined || row.fenced) return undefined
          const appliedEpoch = acknowledged(row.appliedEpoch, applied)
          rows.set(incarnation, { ...row, renewal: row.renewal + 1, renewedAt: at, appliedEpoch })
          return row.renewal + 1
        }),
      readLog: ({ incarnation, after }) => {
        const read = () => ({
          ...state.moment,
          completeFrom: faults.forgetsThePruningMark ? 0 : state.prunedThrough,
          entries: [...state.log]
            .filter(([epoch]) => epoch > after)
            .sort(([one], [other]) => one - other)
            .map(([epoch, keys]) => ({ epoch, keys })),
          renewal: rowsFor(incarnation).get(incarnation)?.renewal ?? null,
          at: nowOf(),
        })
        if (faults.locksInTheReading) {
          let snapshot: ReturnType<typeof read> | undefined
          return statement(() => {
            snapshot = read()
          }).then(() => statement(() => ({ ...(snapshot ?? read()), ...state.moment })))
        }
        return statement(read).then(async (reading) => {
          const row = uncommitted.get(incarnation)
          if (row === undefined) return reading
          await new Promise<void>((done) => process.later(world.between(0, 300), done))
          return statement(() => {
            uncommitted.delete(incarnation)
            state.nodes.set(incarnation, row)
            return reading
          })
        })
      },
      acknowledge: ({ incarnation, applied }) =>
        statement(() => {
          const row = state.nodes.get(incarnation)
          if (row === undefined) return
          if (applied.era !== state.moment.era && !faults.acknowledgesAcrossEras) return
          state.nodes.set(incarnation, {
            ...row,
            appliedEpoch: acknowledged(row.appliedEpoch, applied),
          })
        }),
      removeNode: ({ incarnation, renewal }) =>
        statement(() => {
          if (renewal !== undefined && state.nodes.get(incarnation)?.renewal !== renewal) return
          state.nodes.delete(incarnation)
        }),
      readNodes: () =>
        statement(() => ({
          moment: state.moment,
          eraAgeMs: nowOf() - state.eraAt,
          nodes: [...state.nodes].flatMap(([incarnation, { fenced, ...row }]) =>
            fenced ? [] : [{ incarnation, ...row }],
          ),
        })),
      readAcknowledgements: (incarnations) =>
        statement(
          () =>
            new Map(
              [...state.nodes].flatMap(([incarnation, { fenced, appliedEpoch }]) =>
                fenced || !incarnations.includes(incarnation)
                  ? []
                  : [[incarnation, appliedEpoch] as const],
              ),
            ),
        ),
      fenceNode: ({ incarnation, renewal, renewedAt }) =>
        statement(() => {
          const row = state.nodes.get(incarnation)
          if (row?.renewal !== renewal) return
          if (row.renewedAt !== renewedAt && !faults.fencesByNumberAlone) return
          state.nodes.set(incarnation, { ...row, fenced: true })
        }),
      pruneLog: () => statement(() => {}),
      watchLog(listener) {
        const watcher = { process, listener }
        watchers.add(watcher)
        return () => void watchers.delete(watcher)
      },
      readClock: () => statement(nowOf),
      findCredential: (digest) =>
        statement(() => credentialSighting(digest, state.credentials.get(digest), state.moment)),
      findDomain: (name) =>
        statement(() => domainSighting(name, state.domains.get(name), state.moment)),
    }
  }

  /** The changes, as far as the simulation makes them. */
  function changes(process: Process) {
    return {
      createToken: (digest: string, grants: readonly Grant[], { imported = false } = {}) =>
        change(process, () => {
          ids += 1
          const value: Credential = {
            tokenId: ids,
            accountId,
            grants,
            expiresAt: null,
            windowEndsAt: null,
          }
          putCredential(digest, value)
          return imported ? { value, keys: [revocationKey.negatives] } : { value }
        }),
      replaceGrants: ({ tokenId, grants }: { tokenId: number; grants: readonly Grant[] }) =>
        change(process, () => {
          const held = tokenOf(tokenId)
          if (held === undefined) return noSuchToken
          putCredential(held.digest, { ...held.credential, grants })
          return { value: held.credential, keys: [revocationKey.token(held.digest)] }
        }),
      deleteToken: ({ tokenId }: { tokenId: number }) =>
        change<{ tokenId: number; repeated: boolean }>(process, () => {
          if (state.tombstones.has(tokenId)) {
            const value = { tokenId, repeated: true }
            return faults.repeatedDeletionAnswersAtOnce ? { value } : { value, keys: 'current' }
          }
          const held = tokenOf(tokenId)
          if (held === undefined) return noSuchToken
          putCredential(held.digest, undefined)
          state.tombstones.add(tokenId)
          const value = { tokenId, repeated: false }
          return { value, keys: [revocationKey.token(held.digest)] }
        }),
      addDomain: (name: string) =>
        change(process, () => {
          if (state.domains.has(name)) return { refusal: { reason: 'domain-taken', name } as const }
          ids += 1
          const value: DomainRecord = { id: ids, accountId, name, state: 'verified' }
          putDomain(name, value)
          return { value, keys: [revocationKey.name(name)] }
        }),
      removeDomain: ({ domainId }: { domainId: number }) =>
        change(process, () => {
          const record = [...state.domains.values()].find(({ id }) => id === domainId)
          if (record === undefined) return { refusal: { reason: 'no-such-domain' } as const }
          putDomain(record.name, undefined)
          if (faults.announcesTokensOnly) {
            const touched = [...state.credentials].filter(([, { grants }]) =>
              grants.some(({ resource }) => resource.id === domainId),
            )
            return { value: record, keys: touched.map(([digest]) => revocationKey.token(digest)) }
          }
          const keys = [revocationKey.domain(domainId), revocationKey.name(record.name)]
          return { value: record, keys }
        }),
    }
  }

  return {
    history,
    registry,
    changes,
    eras,
    versionOf: (changed: Change<unknown>) => versions.get(changed) ?? 0,
    momentOf: (changed: Change<unknown>) => moments.get(changed),
    now: () => state as Readonly<State>,
    setWallClock(byMs: number) {
      wallOffset += byMs
    },
    /** Raises the mark, and takes the rows away later. */
    prune(through: number) {
      if (through <= state.prunedThrough) return
      state.prunedThrough = through
      // Of this history only: a standby that lost the mark has the rows.
      const { log } = state
      world.after(world.between(0, 100), () => {
        for (const epoch of log.keys()) if (epoch <= through) log.delete(epoch)
      })
    },
    loseNodes() {
      if (faults.losesNodes) state.nodes.clear()
    },
    /** A standby that does not have the last commits becomes the primary. */
    promoteStandby() {
      const older = snapshots[Math.floor(world.random() ** 2 * snapshots.length)]
      snapshots.length = 0
      if (older === undefined) return
      const lost = state
      for (let epoch = older.moment.epoch + 1; epoch <= lost.moment.epoch; epoch++) {
        history.lost({ era: lost.moment.era, epoch })
      }
      state = { ...copyOf(older), timeline: lost.timeline + 1 }
      history.wentBackTo(older.moment)
      history.begin()
      for (const digest of new Set([...lost.credentials.keys(), ...state.credentials.keys()])) {
        history.wrote('token', digest, state.credentials.get(digest))
      }
      for (const name of new Set([...lost.domains.keys(), ...state.domains.keys()])) {
        history.wrote('domain', name, state.domains.get(name))
      }
    },
  }
}
