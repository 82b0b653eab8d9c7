import { expect, test } from 'vitest'
import { createConfirmation } from '../../src/fleet/confirmation.ts'
import type { NodeRow } from '../../src/service/ports/fleet.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'

/** A table of nodes, and a clock that only moves while somebody waits. */
function createFleet(nodes: NodeRow[], { eraAgeMs = Number.POSITIVE_INFINITY, epoch = 9 } = {}) {
  const clock = createFakeClock()
  const rows = new Map(nodes.map((node) => [node.incarnation, { ...node }]))
  const fenced: string[] = []
  const events: { at: number; run: () => void }[] = []
  let fault: Error | undefined
  let announced = 0
  const fleet = {
    rows,
    fenced,
    announcements: () => announced,
    /** Something happens while the change waits. */
    after(ms: number, run: () => void) {
      events.push({ at: clock.monotonic() + ms, run })
    },
    fail(error: Error | undefined) {
      fault = error
    },
    clock,
    ...createConfirmation({
      registry: {
        async readNodes() {
          if (fault !== undefined) throw fault
          const present = [...rows.values()].map((row) => ({ ...row }))
          return { moment: { era: 'one', epoch }, eraAgeMs, nodes: present }
        },
        async readAcknowledgements(incarnations) {
          if (fault !== undefined) throw fault
          return new Map(
            incarnations.flatMap((name) => {
              const row = rows.get(name)
              return row === undefined ? [] : [[name, row.appliedEpoch]]
            }),
          )
        },
        async fenceNode({ incarnation }) {
          fenced.push(incarnation)
        },
      },
      clock,
      log: { warn() {} },
      announce: () => {
        announced += 1
      },
      holdMs: 10_000,
      async wait(ms) {
        clock.advance(ms)
        for (const event of events.filter(({ at }) => at <= clock.monotonic())) {
          event.run()
          events.splice(events.indexOf(event), 1)
        }
      },
    }),
  }
  return fleet
}

const node = (incarnation: string, appliedEpoch: number, holdMs = 10_000): NodeRow => ({
  incarnation,
  renewal: 5,
  renewedAt: 0,
  appliedEpoch,
  holdMs,
})

/** A hold with the drift of two clocks, and a margin: what the answer may take when a node is silent. */
const patienceMs = 10_000 * 1.02 + 250

test('without nodes a change is in force at once', async () => {
  const fleet = createFleet([])
  expect(await fleet.confirm(9)).toMatchObject({
    propagation: 'confirmed',
    confirmed: 0,
    fenced: 0,
  })
  expect(fleet.clock.monotonic()).toBe(0)
})

test('it waits for every node to have applied it, and tells them', async () => {
  const fleet = createFleet([node('a', 9), node('b', 8), node('c', 3)])
  const apply = (name: string) => {
    fleet.rows.set(name, node(name, 9))
  }
  fleet.after(40, () => apply('b'))
  fleet.after(900, () => apply('c'))
  const receipt = await fleet.confirm(9)
  expect(receipt).toMatchObject({ epoch: 9, propagation: 'confirmed', confirmed: 3, fenced: 0 })
  expect(receipt.ms).toBeGreaterThanOrEqual(900)
  expect(fleet.announcements()).toBe(1)
})

test('a node that leaves is not waited for', async () => {
  const fleet = createFleet([node('a', 3)])
  fleet.after(20, () => fleet.rows.delete('a'))
  expect(await fleet.confirm(9)).toMatchObject({ propagation: 'confirmed', fenced: 0 })
  expect(fleet.clock.monotonic()).toBeLessThan(1_000)
})

test('a silent node is waited out until it can decide nothing any more, then shut out', async () => {
  const fleet = createFleet([node('a', 9), node('silent', 3)])
  const receipt = await fleet.confirm(9)
  expect(receipt).toMatchObject({ propagation: 'confirmed', confirmed: 1, fenced: 1 })
  expect(receipt.ms).toBeGreaterThan(patienceMs)
  expect(receipt.ms).toBeLessThan(11_000)
  expect(fleet.fenced).toEqual(['silent'])
})

test('it waits as long as the silent node may decide, not as long as its own settings say', async () => {
  const fleet = createFleet([node('with-grace', 3, 60_000)])
  const { ms } = await fleet.confirm(9)
  expect(ms).toBeGreaterThan(60_000 * 1.02)
})

test('a node that comes while it waits does not prolong it: it has read the log after its lease was committed', async () => {
  const fleet = createFleet([node('a', 3)])
  fleet.after(10, () => {
    fleet.rows.set('a', node('a', 9))
    fleet.rows.set('late', node('late', 0))
  })
  expect(await fleet.confirm(9)).toMatchObject({ propagation: 'confirmed', confirmed: 1 })
  expect(fleet.clock.monotonic()).toBeLessThan(1_000)
})

test('renewals without an acknowledgement do not prolong it', async () => {
  const fleet = createFleet([node('busy', 3)])
  for (let ms = 100; ms < 30_000; ms += 100) {
    fleet.after(ms, () => {
      const row = fleet.rows.get('busy')
      if (row !== undefined) fleet.rows.set('busy', { ...row, renewal: row.renewal + 1 })
    })
  }
  const { ms } = await fleet.confirm(9)
  expect(ms).toBeLessThan(11_000)
})

test('when the nodes cannot be read it is pending, and never claimed', async () => {
  const fleet = createFleet([node('a', 9)])
  fleet.fail(new Error('the database went away'))
  expect(await fleet.confirm(9)).toMatchObject({ propagation: 'pending', confirmed: 0 })
  fleet.fail(undefined)
  expect(await fleet.confirm(9)).toMatchObject({ propagation: 'confirmed', confirmed: 1 })
})

test('a reading that does not show the change itself proves nothing', async () => {
  const fleet = createFleet([], { epoch: 8 })
  expect(await fleet.confirm(9)).toMatchObject({ propagation: 'pending' })
})

test('when the database goes away while it waits, time alone is enough', async () => {
  const fleet = createFleet([node('a', 3)])
  fleet.after(50, () => fleet.fail(new Error('the database went away')))
  expect(await fleet.confirm(9)).toMatchObject({ propagation: 'confirmed', fenced: 1 })
})

test('in a young era it also waits until no lease of the one before can run', async () => {
  const fleet = createFleet([], { eraAgeMs: 4_000 })
  const { ms, propagation } = await fleet.confirm(9)
  expect(propagation).toBe('confirmed')
  expect(ms).toBeGreaterThanOrEqual(patienceMs - 4_000)
})
