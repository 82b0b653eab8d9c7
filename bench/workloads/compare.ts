import { createLatencies, type EncodedLatencies } from '../measure/latency.ts'
import { figuresOf, type Sample } from '../measure/rounds.ts'
import type { Saturation } from '../measure/saturation.ts'
import { ratioOf, spreadOf } from '../measure/statistics.ts'
import { formatDuration, formatRatio, formatSpread, threeDigits } from '../report/format.ts'
import { describeChecks, type Subject } from '../subjects/subject.ts'
import type { BarChart, CurveChart, Table } from '../workload.ts'

/** Bars and a table of what each subject spends on a unit, against each baseline that was there. */
export function compareCosts({
  title,
  unit,
  subjects,
  samples,
  baselines,
  cost = ({ microsPerUnit }) => microsPerUnit,
}: {
  readonly title: string
  readonly unit: string
  readonly subjects: readonly Pick<Subject, 'name' | 'kind' | 'checks'>[]
  readonly samples: readonly Sample<Saturation>[]
  readonly baselines: readonly string[]
  readonly cost?: (value: Saturation) => number
}): { readonly bars: readonly BarChart[]; readonly tables: readonly Table[] } {
  const costsOf = (name: string) => figuresOf(samples, name, cost)
  const present = baselines.filter((name) => costsOf(name).length > 0)
  const [first] = present
  const bars = subjects.map(({ name, kind }) => ({
    label: name,
    kind,
    ratio: ratioOf(costsOf(name), costsOf(first ?? name)),
    figure: `${threeDigits(spreadOf(costsOf(name)).median)} ${unit}`,
  }))
  const rows = subjects.map(({ name, checks }) => [
    name,
    describeChecks(checks),
    formatSpread(spreadOf(costsOf(name)), unit),
    ...present.map((baseline) => formatRatio(ratioOf(costsOf(name), costsOf(baseline)))),
    threeDigits(spreadOf(figuresOf(samples, name, ({ busyCores }) => busyCores)).median),
  ])
  const against = present.map((baseline) => `× ${baseline}`)
  return {
    bars: first === undefined ? [] : [{ title, baseline: first, bars }],
    tables: [
      { title, columns: ['subject', 'token / sender', 'CPU', ...against, 'cores busy'], rows },
    ],
  }
}

/** The percentiles that a curve is looked at for. */
export function tabulate({ title, series }: CurveChart): Table {
  const percentiles = [50, 99, 99.9]
  return {
    title,
    columns: ['subject', ...percentiles.map((percentile) => `p${percentile}`)],
    rows: series.map(({ label, latencies }) => {
      const recorded = createLatencies(latencies)
      return [label, ...percentiles.map((percentile) => formatDuration(recorded.at(percentile)))]
    }),
  }
}

/** All rounds of one subject together. */
export function mergeLatencies(
  samples: readonly Sample<{ readonly latencies: EncodedLatencies }>[],
  subject: string,
): EncodedLatencies {
  const together = createLatencies()
  for (const sample of samples) {
    if (sample.subject === subject) together.add(createLatencies(sample.value.latencies))
  }
  return together.encode()
}
