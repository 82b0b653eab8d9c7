import type { Page } from './management.ts'

/** So many are asked for at once: a gate does not answer longer pages, and other work gets its turn in between. */
const pageSize = 1_000

/** Reads page after page, each from the last id of the one before, until there are no more or there are enough. */
export async function readPages<T extends { readonly id: number }>(
  readPage: (cursor: number | undefined, size: number) => Promise<Page<T>>,
  {
    start,
    limit = Number.POSITIVE_INFINITY,
  }: { start?: number | undefined; limit?: number | undefined },
): Promise<Page<T>> {
  const items: T[] = []
  for (let cursor = start; ; cursor = items.at(-1)?.id) {
    const page = await readPage(cursor, Math.min(pageSize, limit - items.length))
    items.push(...page.items)
    const isEnough = items.length >= limit || page.items.length === 0
    if (!page.hasMore || isEnough) return { items, hasMore: page.hasMore }
  }
}
