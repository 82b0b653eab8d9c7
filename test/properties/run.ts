import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { propertyNames } from './property-names.ts'

/**
 * `npm run fuzz -- --minutes N [--seed S] [--only TEXT]`: the properties for that long altogether. What breaks one is printed
 * with its seed and added to kept-cases.json, which the tests replay.
 */
const { values } = parseArgs({
  options: { minutes: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } },
})
const minutes = Number(values.minutes ?? 10)
const seed = Number(values.seed ?? Date.now() % 2 ** 31)
const chosen = propertyNames().filter((name) => name.includes(values.only ?? ''))
if (!(minutes > 0) || !Number.isInteger(seed) || chosen.length === 0) {
  console.error(
    'usage: npm run fuzz -- --minutes N [--seed S] [--only TEXT IN THE NAME OF A PROPERTY]',
  )
  process.exit(2)
}
console.log(`seed ${seed}: ${chosen.length} properties, ${minutes} minutes`)
const { status } = spawnSync(
  process.execPath,
  [
    ...['node_modules/vitest/vitest.mjs', 'run', 'test/properties', '--no-file-parallelism'],
    ...(values.only === undefined ? [] : ['-t', values.only]),
  ],
  {
    stdio: 'inherit',
    env: {
      ...process.env,
      POSTERN_FUZZ_MS: String(Math.ceil((minutes * 60_000) / chosen.length)),
      POSTERN_FUZZ_SEED: String(seed),
    },
  },
)
console.log(`again: npm run fuzz -- --minutes ${minutes} --seed ${seed}`)
process.exitCode = status ?? 1
