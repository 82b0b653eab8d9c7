import type { Log } from '../log.ts'
import type { Random } from '../random.ts'
import type { FleetRegistry } from '../service/ports/fleet.ts'
import type { DatabaseClock } from './database-clock.ts'
import type { Knowledge } from './knowledge.ts'
import type { Lease } from './lease.ts'

export interface NodeDeps {
  readonly registry: Pick<
    FleetRegistry,
    'addNode' | 'renewNode' | 'readLog' | 'acknowledge' | 'removeNode' | 'watchLog'
  >
  readonly knowledge: Knowledge
  readonly lease: Lease
  readonly clock: DatabaseClock
  readonly random: Random
  readonly log: Log
  /** What operators know this process by. */
  readonly name: string
  readonly leaseMs: number
  /** Lease and grace: how long a change has to wait for this node when it falls silent. */
  readonly holdMs: number
  /** Told each name under which it is a member. */
  readonly onIncarnation?: ((incarnation: string) => void) | undefined
  /** Does `work` after so long, unless what it answers is called before. Tests have a time of their own. */
  readonly later?: (ms: number, work: () => void) => () => void
}

/** One gateway process as a member of the fleet: it keeps its lease, and tells how far it has applied the log. */
export interface FleetNode {
  /** Becomes a member, with a lease. Throws when the store does not let it. */
  join(): Promise<void>
  /**
   * Applies everything that is in the log when it is called, and acknowledges it. Hints say no more than that this may be
   * worth while: an epoch is only ever taken from the log.
   */
  catchUp(): Promise<void>
  /** Gives up the lease for good, then the membership. */
  leave(): Promise<void>
}

/** Renewed this often within a lease, so that two may fail. */
const renewalsPerLease = 3
/** After a failure it tries again sooner, each node at a moment of its own. */
const retryMs = 250

export function createNode(deps: NodeDeps): FleetNode {
  const { registry, knowledge, lease, clock, random, log, name, leaseMs, holdMs } = deps
  const { later = unrefedTimer } = deps
  let incarnation: string | undefined
  let cancelTimer: (() => void) | undefined
  let stopWatching: (() => void) | undefined
  let left = false
  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  let renewing: Promise<void> | undefined
  let failing = false

  async function member(): Promise<string> {
    if (incarnation !== undefined) return incarnation
    const fresh = random.uuid()
    // Before the row is there: whoever has to remove it must know of it.
    deps.onIncarnation?.(fresh)
    await registry.addNode({ incarnation: fresh, name, holdMs, at: clock.now() })
    incarnation = fresh
    return fresh
  }

  /** S1: committed before the log is read, so that every change either sees the lease or is seen by the reading. */
  async function renew(): Promise<void> {
    while (!left) {
      const askedAt = clock.monotonic()
      const self = await member()
      const applied = knowledge.moment()
      const renewal = await registry.renewNode({ incarnation: self, applied, at: clock.now() })
      if (renewal === undefined) {
        // Fenced or forgotten, perhaps while this process was stopped: it never comes back under the same name.
        incarnation = undefined
        continue
      }
      if (await readAndApply(self, renewal)) {
        lease.renew(askedAt)
        return
      }
    }
  }

  /** S2, apply, S3. False when all of it has to begin again. */
  async function readAndApply(self: string, renewal?: number): Promise<boolean> {
    const asked = knowledge.moment()
    const askedAt = clock.monotonic()
    const reading = await registry.readLog({ incarnation: self, after: asked?.epoch ?? 0 })
    clock.set(reading.at, askedAt, clock.monotonic())
    if (renewal !== undefined && (reading.renewal ?? -1) < renewal) {
      throw new Error('the database does not show what was just written to it: is it a replica?')
    }
    switch (knowledge.apply(reading, asked)) {
      case 'gap':
        throw new Error('the revocation log is not whole: was an older database restored?')
      case 'new-era':
        lease.drop()
        return false
      case 'applied':
        break
    }
    const applied = knowledge.moment()
    const advanced = applied !== undefined && applied.epoch > (asked?.epoch ?? -1)
    if (advanced) await registry.acknowledge({ incarnation: self, applied })
    return true
  }

  async function pull(): Promise<void> {
    if (incarnation === undefined || left) return
    if (!(await readAndApply(incarnation))) await renew()
  }

  /** One at a time; whoever asks while one runs gets one that begins after it. */
  function catchUp(): Promise<void> {
    if (running === undefined) {
      running = pull().finally(() => {
        running = undefined
      })
      return running
    }
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        return catchUp()
      })
    return next
  }

  async function renewOnTime() {
    try {
      await renew()
      if (failing) log.info({ event: 'lease_regained' })
      failing = false
      schedule(leaseMs / renewalsPerLease)
    } catch (error) {
      if (!failing) log.error({ event: 'lease_not_renewed', error: String(error) })
      failing = true
      schedule(Math.min(leaseMs / 10, retryMs) * (0.5 + fraction(random)))
    }
  }

  function schedule(ms: number) {
    if (left) return
    cancelTimer = later(ms, () => {
      renewing = renewOnTime()
    })
  }

  return {
    async join() {
      await renew()
      stopWatching = registry.watchLog(() => {
        // A pull that fails is made up for by the next renewal; until then the lease bounds the harm.
        catchUp().catch((error) => log.warn({ event: 'pull_failed', error: String(error) }))
      })
      schedule(leaseMs / renewalsPerLease)
    },

    catchUp,

    async leave() {
      left = true
      lease.end()
      cancelTimer?.()
      stopWatching?.()
      await Promise.allSettled([renewing, running, next])
      if (incarnation === undefined) return
      try {
        await registry.removeNode({ incarnation })
      } catch (error) {
        // Changes then wait for its lease to end.
        log.warn({ event: 'leave_failed', error: String(error) })
      }
    },
  }
}

/** It does not keep the process alive. */
function unrefedTimer(ms: number, work: () => void): () => void {
  const timer = setTimeout(work, ms)
  timer.unref()
  return () => clearTimeout(timer)
}

/** Between 0 and 1. */
function fraction(random: Pick<Random, 'bytes'>): number {
  return (random.bytes(1)[0] ?? 0) / 256
}
