import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArguments, usage } from './arguments.ts'
import { type Result, runBenchmark } from './benchmark.ts'
import { plans } from './plan.ts'
import { writeReport } from './report/report.ts'
import { workloads } from './workloads/index.ts'

/** `npm run bench`: see `usage`. Ends with 1 when a workload failed, 2 when it was asked for what is not there. */

const startedAt = performance.now()

function sinceStart(): string {
  const seconds = Math.floor((performance.now() - startedAt) / 1_000)
  const two = (number: number) => String(number).padStart(2, '0')
  return `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`
}

async function main(): Promise<number> {
  let asked: ReturnType<typeof parseArguments>
  try {
    asked = parseArguments(
      process.argv.slice(2),
      workloads.map(({ name }) => name),
    )
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    return 2
  }
  if (asked.help) {
    console.log(usage)
    return 0
  }
  const plan = plans[asked.plan]
  const { subjects } = asked
  const result: Result =
    asked.from === undefined
      ? await runBenchmark({
          plan: { ...plan, rounds: asked.rounds ?? plan.rounds },
          workloads: workloads.filter(({ name }) => asked.workloads.includes(name)),
          isWanted: ({ name, kind }) =>
            subjects.length === 0 ||
            kind === 'floor' ||
            subjects.some((part) => name.includes(part)),
          onProgress: (line) => console.error(`${sinceStart()}  ${line}`),
        })
      : JSON.parse(readFileSync(asked.from, 'utf8'))
  if (asked.jsonFile !== undefined) writeFileSync(asked.jsonFile, `${JSON.stringify(result)}\n`)
  writeReport(result, asked.reportFolder)
  console.error(`${sinceStart()}  the report is in ${join(asked.reportFolder, 'index.html')}`)
  return result.sections.some(({ failure }) => failure !== undefined) ? 1 : 0
}

process.exit(await main())
