import { build, decodeFromCompressedBase64, encodeIntoCompressedBase64 } from 'hdr-histogram-js'

/** Latencies in an HDR histogram, three digits exact, that can be sent to another process and added to others. */
export interface Latencies {
  readonly count: number
  record(nanoseconds: number): void
  add(others: Latencies): void
  /** In nanoseconds. */
  at(percentile: number): number
  encode(): EncodedLatencies
}

export type EncodedLatencies = { readonly hdr: string }

/** The percentiles of a curve: evenly spaced in the number of nines. */
export const curvePercentiles = [
  0, 10, 25, 50, 65, 75, 82.5, 90, 94, 96.5, 98, 99, 99.4, 99.65, 99.8, 99.9, 99.94, 99.965, 99.98,
  99.99, 99.999,
]

export function createLatencies(encoded?: EncodedLatencies): Latencies {
  const histogram = build({
    bitBucketSize: 64,
    autoResize: true,
    numberOfSignificantValueDigits: 3,
  })
  // One that was decoded does not grow any more.
  if (encoded !== undefined) histogram.add(decodeFromCompressedBase64(encoded.hdr, 64))
  const latencies: Latencies & { readonly histogram: typeof histogram } = {
    histogram,
    get count() {
      return histogram.totalCount
    },
    record: (nanoseconds) => histogram.recordValue(Math.max(0, Math.round(nanoseconds))),
    add: (others) => histogram.add((others as typeof latencies).histogram),
    at: (percentile) => histogram.getValueAtPercentile(percentile),
    encode: () => ({ hdr: encodeIntoCompressedBase64(histogram) }),
  }
  return latencies
}

/** Points that the number of values supports: a percentile that less than one value lies above says nothing. */
export function curveOf(latencies: Latencies) {
  return curvePercentiles
    .filter((percentile) => latencies.count * (1 - percentile / 100) >= 1 || percentile === 0)
    .map((percentile) => ({ percentile, nanoseconds: latencies.at(percentile) }))
}
