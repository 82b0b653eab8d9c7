import type { Spread } from '../measure/statistics.ts'

/** Three digits say all that a measurement knows. */
export function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value === 0) return '0'
  const rounded = Number(value.toPrecision(3))
  const digits = 2 - Math.floor(Math.log10(Math.abs(rounded)))
  return rounded.toFixed(Math.min(Math.max(digits, 0), 3))
}

export function formatRatio({ median, low, high }: Spread): string {
  return `${median.toFixed(2)}× (${low.toFixed(2)}–${high.toFixed(2)})`
}

export function formatSpread({ median, low, high }: Spread, unit: string): string {
  return `${threeDigits(median)} ${unit} (${threeDigits(low)}–${threeDigits(high)})`
}

export function formatDuration(nanoseconds: number): string {
  if (nanoseconds < 1e3) return `${threeDigits(nanoseconds)} ns`
  if (nanoseconds < 1e6) return `${threeDigits(nanoseconds / 1e3)} µs`
  if (nanoseconds < 1e9) return `${threeDigits(nanoseconds / 1e6)} ms`
  return `${threeDigits(nanoseconds / 1e9)} s`
}

export function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${threeDigits(bytes)} B`
  if (bytes < 1e6) return `${threeDigits(bytes / 1e3)} KB`
  if (bytes < 1e9) return `${threeDigits(bytes / 1e6)} MB`
  return `${threeDigits(bytes / 1e9)} GB`
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}
