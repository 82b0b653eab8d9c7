const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** What a duration looks like. */
export const durationPattern = /^(?:0|(\d{1,9})(ms|s|m|h|d))$/

/** `12h`, `30m`, `45s`, `7d`, or 0. Answers milliseconds, or undefined for what is none. */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text)
  if (match === null) return undefined
  return match[1] === undefined ? 0 : Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
}
