import { expect, test } from 'vitest'
import { createJanitor } from '../../src/fleet/janitor.ts'
import type { ListedNode } from '../../src/service/ports/fleet.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

function createOffice() {
  const clock = createFakeClock()
  const nodes = new Map<string, ListedNode>()
  const pruned: { entries: number; tombstones: number }[] = []
  const janitor = createJanitor({
    registry: {
      listNodes: async () => [...nodes.values()],
      async removeNode({ incarnation, renewal }) {
        if (nodes.get(incarnation)?.renewal === renewal) nodes.delete(incarnation)
      },
      async pruneLog(before) {
        pruned.push(before)
      },
    },
    clock,
    log: { info() {}, warn() {} },
    intervalMs: 10_000,
  })
  function put(incarnation: string, renewal: number, fenced = false) {
    const at = clock.now()
    const times = { startedAt: at, renewedAt: at }
    nodes.set(incarnation, {
      incarnation,
      name: 'gate:1',
      renewal,
      appliedEpoch: 0,
      holdMs: 10_000,
      fenced,
      ...times,
    })
  }
  return { clock, nodes, pruned, janitor, put }
}

test('a node is removed only after it was silent for longer than it may decide, as seen from here', async () => {
  const { clock, nodes, janitor, put } = createOffice()
  put('dead', 4)
  await janitor.clean()
  clock.advance(10_450)
  await janitor.clean()
  expect(nodes.has('dead')).toBe(true)
  clock.advance(1)
  await janitor.clean()
  expect(nodes.has('dead')).toBe(false)
})

test('a node that renews stays, however long it has been there', async () => {
  const { clock, nodes, janitor, put } = createOffice()
  for (let renewal = 1; renewal < 20; renewal++) {
    put('alive', renewal)
    await janitor.clean()
    clock.advance(9_000)
  }
  expect(nodes.has('alive')).toBe(true)
})

test('a fenced node is no exception: it may still be stopped, with its lease', async () => {
  const { clock, nodes, janitor, put } = createOffice()
  put('fenced', 4, true)
  await janitor.clean()
  expect(nodes.has('fenced')).toBe(true)
  clock.advance(10_451)
  await janitor.clean()
  expect(nodes.has('fenced')).toBe(false)
})

test('the log is kept for a day, and tombstones for 30', async () => {
  const { clock, pruned, janitor } = createOffice()
  await janitor.clean()
  const day = 24 * 3_600_000
  expect(pruned).toEqual([{ entries: clock.now() - day, tombstones: clock.now() - 30 * day }])
})
