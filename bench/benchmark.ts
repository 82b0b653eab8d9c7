import { describeMachine, type Machine, watchOthers } from './machine.ts'
import type { Plan } from './plan.ts'
import { createCrew, unlessInterrupted } from './processes/crew.ts'
import type { Subject } from './subjects/subject.ts'
import type { Findings, Workload } from './workload.ts'

/** One run of the benchmark: what `--json` writes, and what reports are made from. */
export interface Result {
  readonly startedAt: string
  readonly seconds: number
  readonly plan: Plan
  readonly machine: Machine
  readonly sections: readonly Section[]
}

export interface Section {
  readonly name: string
  readonly about: string
  readonly seconds: number
  /** Cores that others kept busy meanwhile. */
  readonly coresOfOthers: number
  readonly findings?: Findings
  /** Why there is nothing else. */
  readonly failure?: string
}

export interface BenchmarkOptions {
  readonly plan: Plan
  readonly workloads: readonly Workload[]
  isWanted(subject: Subject): boolean
  onProgress(line: string): void
}

/** Runs one workload after the other. One that fails leaves its reason in its section, and the others go on. */
export async function runBenchmark(options: BenchmarkOptions): Promise<Result> {
  const startedAt = new Date()
  const began = performance.now()
  const sections: Section[] = []
  for (const workload of options.workloads) {
    sections.push(await runWorkload(workload, options))
    await unlessInterrupted()
  }
  return {
    startedAt: startedAt.toISOString(),
    seconds: secondsSince(began),
    plan: options.plan,
    machine: describeMachine(),
    sections,
  }
}

async function runWorkload(
  { name, about, run }: Workload,
  { plan, isWanted, onProgress }: BenchmarkOptions,
): Promise<Section> {
  const progress = (line: string) => onProgress(`${name.padEnd(12)} ${line}`)
  const began = performance.now()
  const coresOfOthers = watchOthers()
  const crew = createCrew()
  const end = () => ({ name, about, seconds: secondsSince(began), coresOfOthers: coresOfOthers() })
  try {
    const findings = await run({ plan, crew, progress, isWanted })
    return { ...end(), findings }
  } catch (error) {
    await unlessInterrupted()
    const failure = error instanceof Error ? error.message : String(error)
    progress(`FAILED: ${failure}\n${crew.lastWords()}`)
    return { ...end(), failure }
  } finally {
    await crew.end()
  }
}

function secondsSince(began: number): number {
  return Math.round((performance.now() - began) / 1_000)
}
