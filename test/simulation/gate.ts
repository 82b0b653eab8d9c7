import type { RedisCommands } from '../../src/cache/redis-cache.ts'
import type { Credential } from '../../src/core/decide.ts'
import type { Sighting } from '../../src/core/sighting.ts'
import type { Membership } from '../../src/membership.ts'
import { presentedToken, type Verdict } from '../../src/service/authenticate.ts'
import type { PresentedToken } from '../../src/service/ports/presented-token.ts'
import type { Store } from '../../src/store/store.ts'
import type { ModelDatabase } from './database.ts'
import type { Modules } from './modules.ts'
import type { Process } from './process.ts'
import type { World } from './world.ts'

export type Decision = 'allowed' | 'denied' | 'undecided'

/** One gate process. */
export interface Gate {
  readonly process: Process
  /** Whether it would decide if it was asked now, and what it knows. */
  state(): { readonly decides: boolean; readonly era: string | undefined; readonly epoch: number }
  /** Tells each decision in the turn in which it is made. */
  handle(
    digest: string,
    domain: string,
    decided: (decision: Decision, reason?: unknown) => void,
  ): Promise<void>
  /** Ends in order; it still answers sessions that are open for a while. */
  leave(): Promise<void>
}

export interface GateOptions {
  readonly modules: Modules
  readonly redis: (process: Process) => RedisCommands
  readonly name: string
  readonly leaseMs: number
  readonly graceMs: number
  /** A fault to be found: the shared cache does not say of when its records are. */
  readonly sharedWithoutEpoch?: boolean
  /** A fault to be found: each process in its place has the same name. */
  readonly reusesName?: boolean
}

const macKey = new Uint8Array(32)
let incarnations = 0

/** Starts it; answers when it is a member. Rejects when the database does not let it. */
export async function startGate(
  world: World,
  database: ModelDatabase,
  process: Process,
  { modules, redis, name, leaseMs, graceMs, ...faults }: GateOptions,
): Promise<Gate> {
  const registry = database.registry(process)
  const clock = modules.createDatabaseClock(process.clock)
  const askedAt = clock.monotonic()
  clock.set(await registry.readClock(), askedAt, clock.monotonic())
  let watched = { leaseMsLeft: () => 0, epoch: () => 0 }
  let era: () => string | undefined = () => undefined

  const membership: Membership = await modules.joinFleet(
    {
      leaseMs,
      outage: { graceMs } as never,
      cacheEntries: 100,
      tokenPrefix: 'pst_',
    },
    {
      store: registry as unknown as Store,
      clock,
      ownClock: process.clock,
      random: {
        bytes: (length) => new Uint8Array(length).map(() => Math.floor(world.random() * 256)),
        uuid: () => (faults.reusesName ? name : `${name}/${++incarnations}`),
      },
      log: silent as never,
      metrics: {
        lookedUp() {},
        watchNode(sources: typeof watched) {
          watched = sources
        },
      } as never,
      later: process.later,
      shared: (ask) => {
        era = ask
        const cache = modules.createRedisCache({
          redis: redis(process),
          macKey,
          era: ask,
          clock: process.clock,
        })
        if (!faults.sharedWithoutEpoch) return cache
        return {
          ...cache,
          async findCredential(digest) {
            const found: Sighting<Credential> | undefined = await cache.findCredential(digest)
            return found && { ...found, epoch: watched.epoch() }
          },
        }
      },
    },
  )
  const { authenticator, trouble, leave } = membership
  /** In place of `present`: the simulation knows digests, and no texts. Nothing is forgotten. */
  const recent = new Map<string, PresentedToken>()
  const aWhile = (most: number) => new Promise<void>((done) => process.later(most, done))

  return {
    process,
    leave,
    state: () => ({
      decides: !process.isAsleep() && trouble()?.includes('lease') !== true,
      era: era(),
      epoch: watched.epoch(),
    }),

    async handle(digest, domain, decided) {
      const token = recent.get(digest) ?? presentedToken(digest)
      recent.set(digest, token)
      const ask = (senders: readonly string[]) => authenticator.authorise(token, senders)
      try {
        // Like a session: its log-in, its sender, and the last byte each ask for themselves.
        if (world.chance(0.3)) {
          const alive = await ask([])
          if (!alive.allowed) return decided('denied')
          await aWhile(world.between(0, 30))
        }
        let verdict: Verdict = await ask([domain])
        if (verdict.allowed && world.chance(0.5)) {
          await aWhile(world.chance(0.1) ? world.between(0, 1_500) : world.between(0, 20))
          verdict = await ask([domain])
        }
        decided(verdict.allowed ? 'allowed' : 'denied', verdict)
      } catch (error) {
        decided('undecided', error)
      }
    },
  }
}

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A Redis that gives anything it ever held, also under another key, or nothing. */
export function createLyingRedis(world: World, lies: { probability: number }) {
  const held = new Map<string, string[]>()
  return (process: Process): RedisCommands => ({
    get: (key) =>
      new Promise((resolve) => {
        world.after(world.between(0.1, 2), () => {
          const values = (world.chance(0.02) ? world.pick([...held.values()]) : held.get(key)) ?? []
          const value = world.chance(lies.probability) ? world.pick(values) : values.at(-1)
          process.deliver(() => resolve(value ?? null))
        })
      }),
    set: (key, value) => {
      world.after(world.chance(0.05) ? world.between(0, 2_000) : world.between(0.1, 2), () => {
        held.set(key, [...(held.get(key) ?? []), value])
      })
      return Promise.resolve('OK')
    },
  })
}
