import { z } from '@hono/zod-openapi'
import type { ApiContext } from './caller.ts'

export const longestPage = 1_000

const limit = z.coerce.number().int().min(1).max(longestPage)
const cursor = z.coerce
  .number()
  .int()
  .nonnegative()
  .max(Number.MAX_SAFE_INTEGER)
  .openapi({ type: 'integer' })

export const pageQuery = { limit: limit.optional(), after: cursor.optional() }
export const backwardsPageQuery = { limit: limit.default(100), before: cursor.optional() }

/** Points to the next page (RFC 8288), with everything else that was asked for. */
export function linkNext(c: ApiContext, cursor: Readonly<Record<string, number>>) {
  const url = new URL(c.req.url)
  for (const [name, value] of Object.entries(cursor)) url.searchParams.set(name, String(value))
  c.header('Link', `<${url.pathname}${url.search}>; rel="next"`)
}

/** Cuts what was read, one more than asked for, to its page, and tells whether there is another. */
export function cutPage<T>(read: readonly T[], limit: number): { page: readonly T[]; next?: T } {
  const page = read.slice(0, limit)
  const next = read.length > limit ? page.at(-1) : undefined
  return next === undefined ? { page } : { page, next }
}
