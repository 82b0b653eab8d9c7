import { sql } from 'kysely'
import type { Database, Inspection } from './schema.ts'

/** Ended tokens are removed within 24 hours: a sweeper that does not run is noticed before. */
const longestOverdueMs = 20 * 3_600_000

/** What an operator should know of the data, whichever database holds it. */
export async function inspectData({ reader }: Pick<Database, 'reader'>, now: number) {
  const { count, pruned } = await reader
    .selectFrom('revocation_clock')
    .select(({ selectFrom, fn, ref }) => [
      selectFrom('revocations').select(fn.countAll<number>().as('count')).as('count'),
      ref('pruned_through').as('pruned'),
    ])
    .executeTakeFirstOrThrow()
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
    detail: `${count ?? 0} entries, pruned through ${pruned}`,
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

/** What PostgreSQL must be like for the promises to hold. */
export async function inspectPostgres({ reader }: Pick<Database, 'reader'>): Promise<Inspection[]> {
  const { rows } = await sql<{
    server_version: string
    recovering: boolean
    standbys: string
    max_connections: number
    used: number
    isolation: string
  }>`select
      current_setting('server_version') as server_version,
      pg_is_in_recovery() as recovering,
      current_setting('synchronous_standby_names') as standbys,
      cast(current_setting('max_connections') as integer) as max_connections,
      (select count(*) from pg_stat_activity where backend_type = 'client backend') as used,
      current_setting('transaction_isolation') as isolation`.execute(reader)
  const [server] = rows
  if (server === undefined) throw new Error('PostgreSQL says nothing of itself')
  const { server_version, recovering, standbys, max_connections, used, isolation } = server
  return [
    { name: 'database server', ok: true, detail: `PostgreSQL ${server_version}` },
    {
      name: 'primary',
      ok: !recovering,
      detail: recovering ? 'this server is a standby: gates need the primary' : 'yes',
    },
    {
      name: 'synchronous standby',
      ok: true,
      detail:
        standbys === ''
          ? 'none: a failover may undo changes that have answered (docs/operations.md)'
          : standbys,
    },
    {
      name: 'connections',
      ok: Number(used) < max_connections,
      detail: `${used} of ${max_connections} are in use`,
    },
    { name: 'isolation', ok: isolation === 'read committed', detail: isolation },
  ]
}
