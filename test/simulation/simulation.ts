import type { Moment } from '../../src/core/sighting.ts'
import { clockDrift } from '../../src/fleet/lease.ts'
import type { Change, Receipt } from '../../src/service/ports/registry.ts'
import { createModelDatabase, type DatabaseFaults } from './database.ts'
import { createLyingRedis, type Decision, type Gate, startGate } from './gate.ts'
import type { Modules } from './modules.ts'
import { createNemesis } from './nemesis.ts'
import { createNetwork, statementTimeoutMs } from './network.ts'
import { createProcess } from './process.ts'
import { createWorld } from './world.ts'

/** One run of a fleet in virtual time: everything in it follows from the seed. */

export interface SimulationOptions {
  readonly modules: Modules
  readonly faults?: Faults | undefined
  /** Nothing goes wrong but standbys being promoted again and again, and few changes are made: it is rare otherwise. */
  readonly onlyPromotions?: boolean | undefined
}

/** What is built wrongly on purpose, outside the modules under test. */
export interface Faults {
  readonly database?: DatabaseFaults
  readonly readsNodesBeforeCommit?: boolean
  readonly sharedWithoutEpoch?: boolean
  readonly reusesName?: boolean
}

export interface SimulationResult {
  readonly violations: readonly string[]
  readonly decisions: Readonly<Record<Decision, number>>
  readonly confirmed: number
  readonly troubles: readonly string[]
}

export const leaseMs = 1_000
/** Trouble until then, and after that time to recover. */
const troubleMs = 6_000
const recoveryMs = 3_500
const settledAfterMs = troubleMs + 2_500
const places = 3
const domainNames = ['one.test', 'two.test']
const tokensAtStart = 5
/** Of confirmation.ts: beyond a hold with its drift, and beyond that until it gives up. */
const marginMs = 250
const graceForAnswersMs = 2_000

export async function simulate(
  seed: number,
  { modules, faults = {}, onlyPromotions = false }: SimulationOptions,
): Promise<SimulationResult> {
  const world = createWorld(seed)
  const network = createNetwork(world)
  const database = createModelDatabase(world, network, faults.database)
  const { history } = database
  const lies = { probability: 0 }
  const redis = createLyingRedis(world, lies)
  const violations: string[] = []
  const decisions = { allowed: 0, denied: 0, undecided: 0 }
  let confirmedChanges = 0
  const gates: (Gate | undefined)[] = []
  /** Also those that were replaced and may go on one day. */
  const everyGate = new Set<Gate>()
  /** By digest. */
  const tokens = new Map<string, number>()
  let digests = 0
  const isCalm = world.chance(0.15) && !onlyPromotions
  /** Of the changes: some faults show only where there are few. */
  const pace = onlyPromotions ? world.pick([2, 4, 12]) : world.pick([1, 1, 8])
  const graceMs = world.chance(0.25) ? 600 : 0

  function violate(text: string) {
    violations.push(`seed ${seed}, at ${world.now().toFixed(3)} ms: ${text}`)
  }

  async function start(place: number): Promise<void> {
    const process = createProcess(world)
    try {
      const gate = await startGate(world, database, process, {
        modules,
        redis,
        name: `place ${place}`,
        leaseMs,
        graceMs: place === 0 ? graceMs : 0,
        ...faults,
      })
      gates[place] = gate
      everyGate.add(gate)
    } catch {
      process.kill()
      world.after(200, () => void start(place))
    }
  }

  /** A client asks a gate, and its decision is held against what may be true. */
  function ask(gate: Gate | undefined, digest: string, domain: string) {
    if (gate === undefined) return
    world.after(world.between(0, 1), () =>
      gate.process.deliver(() => {
        const began = world.now()
        void gate.handle(digest, domain, (decision, reason) => {
          decisions[decision] += 1
          if (decision !== 'undecided') {
            if (history.possible(digest, domain).has(decision)) return
            violate(`${digest} for ${domain} was ${decision}, begun at ${began.toFixed(3)}`)
          } else if (isCalm || began > settledAfterMs) {
            violate(`${digest} for ${domain} could not be decided: ${reason}`)
          }
        })
      }),
    )
  }

  function askEverywhere(digest: string, domain: string) {
    for (const gate of everyGate) ask(gate, digest, domain)
  }

  async function administrate(name: string) {
    const admin = createProcess(world)
    nemesis.addAdmin(admin)
    const registry = database.registry(admin)
    const changes = database.changes(admin)
    /** Only ever used by the fault of that name. */
    let nodesBefore: Awaited<ReturnType<typeof registry.readNodes>> | undefined
    const readNodes = async () => {
      const reading = await registry.readNodes()
      return faults.readsNodesBeforeCommit
        ? { ...reading, ...nodesBefore, moment: reading.moment }
        : reading
    }
    const { confirm } = modules.createConfirmation({
      registry: { ...registry, readNodes },
      clock: admin.clock,
      log: { warn() {} } as never,
      announce() {},
      holdMs: leaseMs + graceMs,
      wait: (ms) => new Promise<void>((done) => void admin.later(ms, done)),
    })

    /** Makes a change; `digest` and `domain` are what clients will ask about. */
    async function make<T>(
      work: () => Promise<Change<T>>,
      digest: string,
      domain: string,
      { isNew = false } = {},
    ): Promise<void> {
      // Nobody asks for a secret that is still to be made.
      if (!isNew && world.chance(0.6)) {
        for (let i = 0; i < 3; i++) {
          world.after(world.between(0, 12), () => askEverywhere(digest, domain))
        }
      }
      const stopsBefore = nemesis.stopsOf(admin)
      try {
        if (faults.readsNodesBeforeCommit) nodesBefore = await registry.readNodes()
        const changed = await work()
        const moment = database.momentOf(changed)
        const at = database.versionOf(changed)
        const outcome = await modules.confirmed(confirm, Promise.resolve(changed))
        if (!outcome.done) return
        if (outcome.receipt === null) {
          history.handedOut(digest, at)
          const { repeated } = outcome.value as { repeated?: boolean }
          if (repeated === true) history.answeredAt(at)
        } else {
          check(outcome.receipt, moment, nemesis.stopsOf(admin) === stopsBefore)
        }
      } catch {
        // Nobody knows whether it was done: the client may repeat it, and the history has it if it was.
        return
      }
      for (const ms of [0, world.between(1, 30), world.between(0, 1_500)]) {
        world.after(ms, () => askEverywhere(digest, domain))
      }
    }

    function check(receipt: Receipt, moment: ReturnType<typeof database.momentOf>, ran: boolean) {
      const { propagation, fenced, waitingFor, ms } = receipt
      const longestMs = (leaseMs + graceMs) * (1 + 2 * clockDrift) + marginMs + graceForAnswersMs
      if (ran && ms > longestMs + 3 * statementTimeoutMs) violate(`${name} waited for ${ms} ms`)
      if (isCalm && (propagation !== 'confirmed' || fenced > 0 || ms > leaseMs / 3 + 150)) {
        violate(`${name} was told ${JSON.stringify(receipt)} without any trouble`)
      }
      if (propagation === 'pending' || moment === undefined) return
      if (waitingFor.length > 0) violate(`${name}: confirmed, but waiting for ${waitingFor}`)
      confirmedChanges += 1
      history.answered(moment)
      if (database.now().moment.era !== moment.era || !history.has(moment)) return
      for (const gate of everyGate) {
        if (!gate.process.isAlive()) continue
        const { decides, era, epoch } = gate.state()
        if (!decides || isKnown(moment, { era, epoch })) continue
        violate(`epoch ${moment.epoch} was confirmed to ${name}, but a gate decides at ${epoch}`)
      }
    }

    /** A node may even be in a later era, which was lost again, but had everything that was before it. */
    function isKnown(moment: Moment, known: { era: string | undefined; epoch: number }): boolean {
      const eraOf = (era = '') => database.eras.indexOf(era)
      if (known.era === moment.era) return known.epoch >= moment.epoch
      return eraOf(known.era) > eraOf(moment.era)
    }

    function grants(): Parameters<typeof changes.createToken>[1] {
      const domains = [...database.now().domains.values()]
      if (domains.length === 0 || world.chance(0.2)) {
        return [{ resource: { type: 'account', id: 1 }, level: 'admin' }]
      }
      const level = world.chance(0.6) ? 'admin' : 'viewer'
      return domains
        .filter(() => world.chance(0.7))
        .map(({ id }) => ({ resource: { type: 'domain', id }, level }))
    }

    async function once() {
      const domain = world.pick(domainNames)
      const digest = world.pick([...tokens.keys()]) ?? 'none'
      const tokenId = tokens.get(digest) ?? 0
      const dice = world.random()
      if (dice < 0.2) {
        const fresh = `token ${++digests}`
        const imported = world.chance(0.5)
        // Clients try it before it is there.
        if (imported) askEverywhere(fresh, domain)
        const work = async () => {
          const changed = await changes.createToken(fresh, grants(), { imported })
          if (changed.done) tokens.set(fresh, changed.value.tokenId)
          return changed
        }
        if (imported) await new Promise<void>((done) => admin.later(world.between(0, 5), done))
        await make(work, fresh, domain, { isNew: !imported })
      } else if (dice < 0.45) {
        await make(() => changes.deleteToken({ tokenId }), digest, domain)
        if (world.chance(0.7)) tokens.delete(digest)
      } else if (dice < 0.75) {
        await make(() => changes.replaceGrants({ tokenId, grants: grants() }), digest, domain)
      } else {
        const record = database.now().domains.get(domain)
        await make<unknown>(
          () =>
            record === undefined
              ? changes.addDomain(domain)
              : changes.removeDomain({ domainId: record.id }),
          digest,
          domain,
        )
      }
    }

    for (;;) {
      await new Promise<void>((done) => admin.later(world.between(5, 250) * pace, done))
      await once()
    }
  }

  function traffic() {
    const digest = world.pick([...tokens.keys()]) ?? 'none'
    ask(world.pick(gates), digest, world.pick(domainNames))
    world.after(world.between(0, 25), traffic)
  }

  const founder = database.changes(createProcess(world))

  function settle() {
    founder.addDomain('settled.test').catch(settle)
  }

  const nemesis = createNemesis(world, {
    network,
    database,
    gates,
    everyGate,
    start,
    lies,
    onlyPromotions,
  })

  // The world as it is before anybody looks.
  for (const name of domainNames) void founder.addDomain(name)
  for (let i = 0; i < tokensAtStart; i++) {
    const digest = `token ${++digests}`
    void founder
      .createToken(digest, [{ resource: { type: 'account', id: 1 }, level: 'admin' }])
      .then((changed) => {
        if (changed.done) tokens.set(digest, changed.value.tokenId)
      })
  }
  await world.runUntil(50)
  for (let place = 0; place < places; place++) void start(place)
  for (const name of ['Ann', 'Bob', 'Cy']) void administrate(name)
  traffic()
  await world.runUntil(200)
  if (!isCalm) nemesis.begin(troubleMs)
  await world.runUntil(troubleMs)
  nemesis.end()
  // A new era begins with the first change of it; until then a node that knows of lost ones has no lease.
  settle()
  await world.runUntil(troubleMs + recoveryMs)
  return {
    violations,
    decisions,
    confirmed: confirmedChanges,
    troubles: isCalm ? ['none'] : nemesis.troubles,
  }
}
