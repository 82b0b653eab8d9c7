import { type Counter, type Gauge, Histogram, type LabelValues, type Registry } from 'prom-client'

/**
 * For what is counted in every request: prom-client makes a text of the labels at each call. Here counts are plain numbers,
 * written out when somebody asks.
 */

interface Tally {
  count: number
}

interface TallyConfig<L extends string> {
  readonly name: string
  readonly help: string
  readonly labelNames: L[]
  readonly registers: Registry[]
}

/** Answers a function that makes a tally: one for each set of labels. */
export function tallied<L extends string>(
  Metric: typeof Counter<L> | typeof Gauge<L>,
  config: TallyConfig<L>,
) {
  const tallies: (Tally & { readonly labels: LabelValues<L> })[] = []
  function collect(this: Counter<L> | Gauge<L>) {
    this.reset()
    for (const { labels, count } of tallies) this.inc(labels, count)
  }
  new Metric({ ...config, collect })
  return function tally(labels: LabelValues<L>): Tally {
    const made = { labels, count: 0 }
    tallies.push(made)
    return made
  }
}

interface Series<L extends string> {
  readonly labels: LabelValues<L>
  /** Not cumulative: one for each bucket, and one for what is beyond all of them. */
  readonly counts: number[]
  sum: number
}

/** The same for a histogram: answers a function that makes an observer. `buckets` are inclusive upper bounds, ascending. */
export function talliedHistogram<L extends string>(
  config: TallyConfig<L> & { readonly buckets: number[] },
) {
  const { name, help, buckets } = config
  const allSeries: Series<L>[] = []
  async function get() {
    return { name, help, type: 'histogram', aggregator: 'sum', values: allSeries.flatMap(valuesOf) }
  }
  // prom-client's own takes one value at a time, and no counts: a registry asks for these instead.
  Object.assign(new Histogram(config), { get, getForPromString: get })

  function valuesOf({ labels, counts, sum }: Series<L>) {
    let count = 0
    const cumulative = counts.map((more, i) => {
      count += more
      return {
        metricName: `${name}_bucket`,
        labels: { le: buckets[i] ?? '+Inf', ...labels },
        value: count,
      }
    })
    return [
      ...cumulative,
      { metricName: `${name}_sum`, labels, value: sum },
      { metricName: `${name}_count`, labels, value: count },
    ]
  }

  return function observerOf(labels: LabelValues<L>): (value: number) => void {
    const counts: number[] = Array(buckets.length + 1).fill(0)
    const made = { labels, counts, sum: 0 }
    allSeries.push(made)
    return function observe(value) {
      let at = 0
      while (value > (buckets[at] ?? Infinity)) at++
      counts[at] = (counts[at] ?? 0) + 1
      made.sum += value
    }
  }
}
