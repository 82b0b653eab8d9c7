import { parseArgs } from 'node:util'
import { findViolations, runChaos } from './chaos.ts'

/** `npm run chaos -- --seconds 300 --seed 7`: the long form. */

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' } },
})
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const seconds = Number(values.seconds ?? 300)
console.log(`seed ${seed}, ${seconds} s`)
const history = await runChaos({ seconds, seed, say: console.log })
const violations = findViolations(history)
const confirmed = history.changes.filter(({ answeredAt }) => Number.isFinite(answeredAt))
const times = confirmed.map(({ ms }) => ms).sort((a, b) => a - b)
const at = (share: number) => `${times[Math.floor(times.length * share)]?.toFixed(1)} ms`
console.log(
  `${history.attempts.length} attempts, ${history.changes.length} changes, ${confirmed.length} confirmed: p50 ${at(0.5)}, p99 ${at(0.99)}`,
)
for (const violation of violations) console.error(violation)
process.exitCode = violations.length === 0 ? 0 : 1
