import { parseArgs } from 'node:util'
import { realModules } from './modules.ts'
import { simulate } from './simulation.ts'

/** `npm run simulate -- --seeds N --seed S [--promotions]`: N runs from seed S on; ends with 1 when one of them breaks a promise. */
const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    seed: { type: 'string' },
    promotions: { type: 'boolean', default: false },
  },
})
const first = Number(values.seed ?? 1)
const seeds = Number(values.seeds ?? (values.seed === undefined ? 1_000 : 1))
const totals = { allowed: 0, denied: 0, undecided: 0 }
const failed: number[] = []

for (let seed = first; seed < first + seeds; seed++) {
  const { violations, decisions, troubles } = await simulate(seed, {
    modules: realModules,
    onlyPromotions: values.promotions,
  })
  for (const decision of ['allowed', 'denied', 'undecided'] as const) {
    totals[decision] += decisions[decision]
  }
  if (violations.length === 0) continue
  failed.push(seed)
  console.error([`with ${troubles.join(', ')}:`, ...violations.slice(0, 10)].join('\n  '))
  console.error(
    `again: npm run simulate -- --seed ${seed}${values.promotions ? ' --promotions' : ''}`,
  )
}
console.log(
  `${seeds} runs from seed ${first}: ${totals.allowed} allowed, ${totals.denied} denied, ` +
    `${totals.undecided} undecided, ${failed.length} runs broke a promise`,
)
process.exitCode = failed.length === 0 ? 0 : 1
