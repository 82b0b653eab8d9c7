import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Arguments, parseArguments, usage } from './arguments.ts'
import { type Result, runBenchmark } from './benchmark.ts'
import { plans } from './plan.ts'
import { writeReport } from './report/report.ts'
import type { Subject } from './subjects/subject.ts'
import type { Workload } from './workload.ts'
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
  const there = chosen(asked).flatMap(({ subjects = [] }) => subjects)
  const strange = asked.subjects.find((part) => !there.some((subject) => isIn(subject, part)))
  if (strange !== undefined) {
    const names = [...new Set(there.map(({ name }) => name))].join(', ') || 'none to choose from'
    throw new Error(`no subject has ${strange} in its name; there are ${names}`)
  }
  if (asked.from === undefined && process.platform !== 'linux') {
    throw new Error('CPU times are read from /proc: the benchmark runs on Linux')
  }
  // Else the figures of half an hour would have nowhere to go.
  mkdirSync(asked.reportFolder, { recursive: true })
  if (asked.jsonFile !== undefined) writeFileSync(asked.jsonFile, '', { flag: 'a' })
  return asked
}

function readResult(file: string): Result {
  const text = readFileSync(file, 'utf8')
  const strange = `${file} is not what --json writes`
  let result: Result
  try {
    result = JSON.parse(text)
  } catch (error) {
    throw new Error(strange, { cause: error })
  }
  if (!Array.isArray(result.sections)) throw new Error(strange)
  return result
}

function isIn(subject: Subject, part: string): boolean {
  return subject.name.toLowerCase().includes(part.toLowerCase())
}

function chosen({ workloads: names }: Arguments): readonly Workload[] {
  return workloads.filter(({ name }) => names.includes(name))
}

async function measure(asked: Arguments) {
  const { plan: name, rounds, subjects } = asked
  const plan = plans[name]
  return runBenchmark({
    plan: { ...plan, rounds: rounds ?? plan.rounds },
    workloads: chosen(asked),
    isWanted: (subject) =>
      subjects.length === 0 ||
      subject.kind === 'floor' ||
      subjects.some((part) => isIn(subject, part)),
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
