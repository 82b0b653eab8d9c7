/** Virtual time, a seed, and processes that can be stopped, put to sleep and killed. */

export interface World {
  now(): number
  /** Between 0 and 1, from the seed. */
  random(): number
  chance(probability: number): boolean
  between(low: number, high: number): number
  pick<T>(from: readonly T[]): T
  /** Calls `work` at a virtual instant so long from now; what falls on one instant comes in an order of the seed. */
  after(ms: number, work: () => void): void
  /** Runs until this instant. Everything that is awaited is done before the next event. */
  runUntil(end: number): Promise<void>
}

interface Event {
  readonly at: number
  readonly order: number
  readonly work: () => void
}

export function createWorld(seed: number): World {
  const random = seededRandom(seed)
  const events: Event[] = []
  let now = 0

  const world: World = {
    now: () => now,
    random,
    chance: (probability) => random() < probability,
    between: (low, high) => low + (high - low) * random(),
    pick: (from) => from[Math.floor(random() * from.length)] as (typeof from)[number],
    after(ms, work) {
      push(events, { at: now + Math.max(0, ms), order: random(), work })
    },
    async runUntil(end) {
      for (let next = events[0]; next !== undefined && next.at <= end; next = events[0]) {
        pop(events)
        now = next.at
        next.work()
        await new Promise(setImmediate)
      }
      now = end
    },
  }
  return world
}

/** mulberry32: 32 bits of state are plenty, and the same everywhere. */
export function seededRandom(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.at === other.at ? one.order < other.order : one.at < other.at
}

/** A binary heap: there are hundreds of thousands of events in a suite. */
function push(heap: Event[], event: Event) {
  let at = heap.push(event) - 1
  while (at > 0) {
    const above = (at - 1) >> 1
    const parent = heap[above] as Event
    if (!isBefore(event, parent)) break
    heap[at] = parent
    at = above
  }
  heap[at] = event
}

function pop(heap: Event[]) {
  const last = heap.pop()
  if (last === undefined || heap.length === 0) return
  let at = 0
  for (;;) {
    let below = 2 * at + 1
    const [left, right] = [heap[below], heap[below + 1]]
    if (left === undefined) break
    if (right !== undefined && isBefore(right, left)) below += 1
    const child = heap[below] as Event
    if (!isBefore(child, last)) break
    heap[at] = child
    at = below
  }
  heap[at] = last
}
