import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Arguments, parseArguments, usage } from './arguments.ts'
import { type Result, runBenchmark } from './benchmark.ts'
import { plans } from './plan.ts'
import { writeReport } from './report/report.ts'
import { workloads } from './workloads/index.ts'

/** `npm run bench`: see `usage`. Ends with 1 when a workload failed, 2 when it was asked for what cannot be. */

const startedAt = performance.now()

function show(line: string) {
  const seconds = Math.floor((performance.now() - startedAt) / 1_000)
  const two = (number: number) => String(number).padStart(2, '0')
  console.error(`${two(Math.floor(seconds / 60))}:${two(seconds % 60)}  ${line}`)
}

/** Throws with a sentence for whoever typed it, before anything is measured. */
function prepare(): Arguments {
  const asked = parseArguments(
    process.argv.slice(2),
    workloads.map(({ name }) => name),
    workloads.filter(({ isOnRequest }) => isOnRequest !== true).map(({ name }) => name),
  )
  if (asked.help) return asked
  if (asked.from === undefined && process.platform !== 'linux') {
    throw new Error('CPU times are read from /proc: the benchmark runs on Linux')
  }
  // Else the figures of half an hour would have nowhere to go.
  mkdirSync(asked.reportFolder, { recursive: true })
  if (asked.jsonFile !== undefined) writeFileSync(asked.jsonFile, '', { flag: 'a' })
  return asked
}

function readResult(file: string): Result {
  const result: Result = JSON.parse(readFileSync(file, 'utf8'))
  if (!Array.isArray(result.sections)) throw new Error(`${file} is not what --json writes`)
  return result
}

async function measure({ plan: name, rounds, subjects, workloads: names }: Arguments) {
  const plan = plans[name]
  return runBenchmark({
    plan: { ...plan, rounds: rounds ?? plan.rounds },
    workloads: workloads.filter((workload) => names.includes(workload.name)),
    isWanted: (subject) =>
      subjects.length === 0 ||
      subject.kind === 'floor' ||
      subjects.some((part) => subject.name.includes(part)),
    onProgress: show,
  })
}

async function main(): Promise<number> {
  let asked: Arguments
  let earlier: Result | undefined
  try {
    asked = prepare()
    earlier = asked.from === undefined ? undefined : readResult(asked.from)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`)
    return 2
  }
  if (asked.help) {
    console.log(usage)
    return 0
  }
  const result = earlier ?? (await measure(asked))
  if (asked.jsonFile !== undefined) writeFileSync(asked.jsonFile, `${JSON.stringify(result)}\n`)
  writeReport(result, asked.reportFolder)
  show(`the report is in ${join(asked.reportFolder, 'index.html')}`)
  return result.sections.some(({ failure }) => failure !== undefined) ? 1 : 0
}

process.exit(await main())
