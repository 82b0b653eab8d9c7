import { expect, test } from 'vitest'
import { loadEdited, realModules } from './modules.ts'
import { type SimulationOptions, simulate } from './simulation.ts'

/** Longer: `npm run simulate -- --seeds 5000`; one again: `npm run simulate -- --seed 17`. */
const firstSeed = 1
const seeds = 240

async function run(
  options: SimulationOptions,
  { from = firstSeed, count = seeds }: { from?: number; count?: number } = {},
) {
  const totals = { allowed: 0, denied: 0, undecided: 0, confirmed: 0 }
  const troubles = new Set<string>()
  const violations: string[] = []
  for (let seed = from; seed < from + count; seed++) {
    const result = await simulate(seed, options)
    violations.push(...result.violations)
    for (const trouble of result.troubles) troubles.add(trouble)
    for (const decision of ['allowed', 'denied', 'undecided'] as const) {
      totals[decision] += result.decisions[decision]
    }
    totals.confirmed += result.confirmed
  }
  return { totals, troubles, violations }
}

test('no decision contradicts a change that has answered, whatever goes wrong meanwhile', async () => {
  const { totals, troubles, violations } = await run({ modules: realModules })
  expect(violations.slice(0, 10)).toEqual([])
  // It was not the quiet of a fleet that decides nothing, or that nothing happens to.
  expect(totals.allowed).toBeGreaterThan(20_000)
  expect(totals.denied).toBeGreaterThan(20_000)
  expect(totals.undecided).toBeGreaterThan(1_000)
  expect(totals.confirmed).toBeGreaterThan(5_000)
  expect(troubles.size).toBeGreaterThanOrEqual(17)
}, 60_000)

test('nor where a node remembers very few changes', async () => {
  const edited = await loadEdited([
    ['fleet/knowledge.ts', 'maxTombstones = 100_000', 'maxTombstones = 3'],
  ])
  try {
    const { violations, totals } = await run(edited, { from: firstSeed + seeds, count: 80 })
    expect(violations.slice(0, 10)).toEqual([])
    expect(totals.allowed).toBeGreaterThan(5_000)
  } finally {
    await edited.remove()
  }
})

test('nor where standbys without the last commits are promoted again and again', async () => {
  const { violations, totals } = await run({ modules: realModules, onlyPromotions: true })
  expect(violations.slice(0, 10)).toEqual([])
  expect(totals.allowed).toBeGreaterThan(20_000)
})

test('the same seed is the same run', async () => {
  const once = await simulate(7, { modules: realModules })
  expect(await simulate(7, { modules: realModules })).toEqual(once)
})
