import type { EncodedLatencies } from './measure/latency.ts'
import type { Sample } from './measure/rounds.ts'
import type { Spread } from './measure/statistics.ts'
import type { Plan } from './plan.ts'
import type { Crew } from './processes/crew.ts'
import type { Subject } from './subjects/subject.ts'

/** One question that the benchmark answers. */
export interface Workload {
  readonly name: string
  /** Run only when it is named. */
  readonly isOnRequest?: true
  /** What is measured, and how, in a few sentences. */
  readonly about: string
  /** Who takes part, where one may choose among them. */
  readonly subjects?: readonly Subject[]
  run(bench: Bench): Promise<Findings>
}

export interface Bench {
  readonly plan: Plan
  readonly crew: Crew
  /** Shown while it runs. */
  progress(line: string): void
  /** Whether this subject was asked for; everything is, unless the caller chose. */
  isWanted(subject: Subject): boolean
}

/** What a workload found, as the report shows it. */
export interface Findings {
  readonly bars?: readonly BarChart[]
  readonly curves?: readonly CurveChart[]
  readonly tables?: readonly Table[]
  readonly notes?: readonly string[]
  readonly subjects?: readonly SubjectNote[]
  /** Who was not there, and why. */
  readonly missing?: readonly { readonly name: string; readonly reason: string }[]
  /** Every single measurement, for whoever wants to calculate anew. */
  readonly samples: readonly Sample<unknown>[]
}

export interface SubjectNote {
  readonly name: string
  readonly about: string
  readonly checks: string
  readonly version: string
}

/** Ratios against one baseline, which is 1. */
export interface BarChart {
  readonly title: string
  readonly baseline: string
  readonly bars: readonly {
    readonly label: string
    readonly kind: Subject['kind']
    readonly ratio: Spread
    /** The figure itself, with its unit. */
    readonly figure: string
  }[]
}

/** Latency by percentile. */
export interface CurveChart {
  readonly title: string
  readonly series: readonly {
    readonly label: string
    readonly kind: Subject['kind']
    readonly latencies: EncodedLatencies
  }[]
}

export interface Table {
  readonly title: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly string[])[]
}
