import type { Database, Inspection } from './schema.ts'

/** Ended tokens are removed within 24 hours: a sweeper that does not run is noticed before. */
const longestOverdueMs = 20 * 3_600_000
/** Entries of the log are kept for 24 hours: a janitor that does not run is noticed the day after. */
const longestLogMs = 48 * 3_600_000

/** What an operator should know of the data, whichever database holds it. */
export async function inspectData({ reader }: Pick<Database, 'reader'>, now: number) {
  const { count, pruned, first } = await reader
    .selectFrom('revocation_clock')
    .select(({ selectFrom, fn, ref }) => [
      selectFrom('revocations').select(fn.countAll<number>().as('count')).as('count'),
      selectFrom('revocations')
        .select((eb) => eb.fn.min('at').as('at'))
        .as('first'),
      ref('pruned_through').as('pruned'),
    ])
    .executeTakeFirstOrThrow()
  const logAgeMs = first === null ? 0 : now - first
  const oldest = await reader
    .selectFrom('tokens')
    .select(({ fn }) => [
      fn.min('expires_at').as('expires_at'),
      fn.min('window_ends_at').as('window_ends_at'),
    ])
    .executeTakeFirstOrThrow()
  const ends = [oldest.expires_at, oldest.window_ends_at].filter((at) => at !== null)
  const overdueMs = Math.max(0, ...ends.map((at) => now - at))
  const log: Inspection = {
    name: 'revocation log',
    ok: true,
    warns: logAgeMs > longestLogMs,
    detail:
      `${count ?? 0} entries, pruned through ${pruned}` +
      (logAgeMs > longestLogMs ? '; a running gate removes those older than a day' : ''),
  }
  const sweeping: Inspection = {
    name: 'ended tokens',
    ok: overdueMs < longestOverdueMs,
    detail:
      overdueMs === 0
        ? 'none is waiting to be removed'
        : `the oldest ended ${Math.round(overdueMs / 60_000)} minutes ago; a running gate removes them`,
  }
  return [log, sweeping]
}
