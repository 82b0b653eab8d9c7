import { parseDuration } from './duration.ts'

/** So many in each window. */
export interface Rate {
  readonly limit: number
  readonly windowMs: number
}

const maxLimit = 1_000_000
const longestWindowMs = 86_400_000

/** How often a token may call, as people write it: a rate, `off`, or null for what is usual. */
export type RateText = string | null

/** Null is without limit, undefined what is usual, as a token's rate is kept. */
export function ownRate(text: RateText): Rate | null | undefined {
  if (text === null) return undefined
  return text === 'off' ? null : parseRate(text)
}

/** `150/10s`: 150 in each 10 seconds, up to a day. Undefined for what is none. */
export function parseRate(text: string): Rate | undefined {
  const [, count, duration = ''] = /^(\d{1,7})\/(.+)$/.exec(text) ?? []
  const limit = Number(count)
  const windowMs = parseDuration(duration) ?? 0
  if (!(limit >= 1 && limit <= maxLimit)) return undefined
  return windowMs >= 1_000 && windowMs <= longestWindowMs ? { limit, windowMs } : undefined
}
