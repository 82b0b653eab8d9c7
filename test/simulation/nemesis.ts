import type { ModelDatabase } from './database.ts'
import type { Gate } from './gate.ts'
import type { Network } from './network.ts'
import type { Process } from './process.ts'
import type { World } from './world.ts'

export interface NemesisDeps {
  readonly network: Network
  readonly database: ModelDatabase
  readonly gates: (Gate | undefined)[]
  readonly everyGate: Set<Gate>
  /** Starts a gate in a place. */
  readonly start: (place: number) => Promise<void>
  readonly lies: { probability: number }
  readonly onlyPromotions: boolean
}

/** How long things are down: for a part of a lease of 1,000 ms, about one, and several. */
const downMs = [50, 200, 600, 900, 1_000, 1_100, 1_500, 3_000]

/** Makes trouble of a few kinds, which the seed chooses: all kinds at once would hide the rare ones. */
export function createNemesis(
  world: World,
  { network, database, gates, everyGate, start, lies, onlyPromotions }: NemesisDeps,
) {
  const admins: Process[] = []
  const stops = new Map<Process, number>()
  let endsAt = 0
  let nextPromotionAt = 0
  let usuallySlow = 0

  const place = () => Math.floor(world.random() * gates.length)
  /** What is down at the end is up again soon after. */
  const aWhile = () =>
    Math.min(world.pick(downMs) * world.between(0.9, 1.1), endsAt + 500 - world.now())
  const running = () => [...everyGate].filter(({ process }) => process.isAlive())

  function stop(process: Process, ms: number) {
    stops.set(process, (stops.get(process) ?? 0) + 1)
    process.stop(ms)
  }

  const single: Readonly<Record<string, () => void>> = {
    'a gate is stopped': () => {
      const gate = gates[place()]
      if (gate !== undefined) stop(gate.process, aWhile())
    },
    'a control plane is stopped': () => stop(world.pick(admins), aWhile()),
    'a machine sleeps': () => {
      const gate = gates[place()]
      gate?.process.suspend(aWhile())
    },
    'a wall clock is set': () => {
      const by = world.between(-1, 1) * (world.chance(0.5) ? 3_600_000 : 3_000)
      world.pick(running())?.process.setWallClock(by)
    },
    "the database's clock is set": () => database.setWallClock(world.between(-1, 1) * 5_000),
    'a gate is killed': () => {
      const at = place()
      gates[at]?.process.kill()
      gates[at] = undefined
      world.after(world.between(10, 1_500), () => void start(at))
    },
    'a gate ends in order': () => {
      const at = place()
      const gate = gates[at]
      if (gate === undefined) return
      gates[at] = undefined
      gate.process.deliver(() => void gate.leave())
      // Its sessions are open for longer than its membership.
      world.after(world.between(300, 2_000), () => {
        gate.process.kill()
        everyGate.delete(gate)
      })
      world.after(world.between(10, 300), () => void start(at))
    },
    'a stopped gate is replaced, and goes on': () => {
      const at = place()
      const gate = gates[at]
      if (gate === undefined) return
      gates[at] = undefined
      stop(gate.process, world.between(100, 900))
      world.after(world.between(1, 300), () => void start(at))
      world.after(3_000, () => gate.process.kill())
    },
    'a gate is cut off': () => {
      const gate = gates[place()]
      if (gate !== undefined) network.cut(gate.process, aWhile())
    },
    'answers to a gate come late, and perhaps then none': () => {
      const gate = gates[place()]
      if (gate === undefined) return
      const lateMs = Math.min(world.between(300, 2_500), endsAt - world.now())
      network.delayAnswers(gate.process, lateMs)
      if (world.chance(0.5)) world.after(lateMs, () => network.cut(gate.process, aWhile()))
    },
    'the database stands still': () => network.stall(aWhile()),
    'the log is pruned': () => {
      const { epoch } = database.now().moment
      database.prune(epoch - Math.floor(world.random() * 4))
    },
    'a standby without the last commits is promoted': () => {
      // What is wrong with a new era shows when it has lasted for a while.
      if (world.now() < nextPromotionAt) return
      nextPromotionAt =
        world.now() + (onlyPromotions ? world.between(1_500, 3_500) : world.between(500, 4_000))
      database.promoteStandby()
      // What was asked of the old one is answered by the new one.
      network.trouble.slow = 0.5
      world.after(400, () => {
        network.trouble.slow = usuallySlow
      })
    },
    'rows of nodes are lost': () => database.loseNodes(),
  }
  const steady: Readonly<Record<string, () => void>> = {
    'statements are slow': () => {
      usuallySlow = world.between(0.02, 0.2)
      network.trouble.slow = usuallySlow
    },
    'statements fail': () => {
      network.trouble.fails = world.between(0.02, 0.2)
    },
    'answers are lost': () => {
      network.trouble.unanswered = world.between(0.02, 0.2)
    },
    'pushes are lost': () => {
      network.trouble.pushLost = world.pick([0.3, 1])
    },
    'Redis lies': () => {
      lies.probability = world.between(0.2, 1)
    },
  }

  const kinds = Object.keys(single)
  const promotion = kinds.filter((kind) => kind.includes('promoted'))
  const chosen = onlyPromotions
    ? promotion
    : world.chance(0.3)
      ? [world.pick(kinds), ...promotion]
      : kinds.filter(() => world.chance(0.3))
  // The age of an era is told by the database's clock: the two are not put together.
  const clock = chosen.indexOf("the database's clock is set")
  if (clock >= 0 && chosen.some((kind) => kind.includes('promoted'))) chosen.splice(clock, 1)
  const chosenSteady = Object.keys(steady).filter(() => world.chance(0.4))

  function strike() {
    if (world.now() >= endsAt) return
    const kind = world.pick(chosen)
    if (kind !== undefined) single[kind]?.()
    world.after(world.between(20, 1_200), strike)
  }

  return {
    troubles: [...chosen, ...chosenSteady],
    addAdmin: (admin: Process) => void admins.push(admin),
    stopsOf: (process: Process) => stops.get(process) ?? 0,
    begin(until: number) {
      endsAt = until
      for (const kind of chosenSteady) steady[kind]?.()
      strike()
    },
    end() {
      usuallySlow = 0
      Object.assign(network.trouble, { slow: 0, fails: 0, unanswered: 0 })
    },
  }
}
