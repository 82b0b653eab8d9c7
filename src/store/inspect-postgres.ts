import { type Kysely, sql } from 'kysely'
import { timeline } from './revocation-log.ts'
import type { Inspection, Schema } from './schema.ts'

/** What PostgreSQL says of itself, as far as our promises rest on it. */
export interface PostgresFacts {
  readonly version: string
  /** `synchronous_standby_names`. */
  readonly standbyNames: string
  /** Standbys that commits wait for now; null when this role may not see them. */
  readonly synchronousStandbys: number | null
  readonly walLevel: string
  /** Of the write-ahead log now, and when the last change was made; null when it cannot be read. */
  readonly timeline: string | null
  readonly notedTimeline: string
  /** Connections that the server has for ordinary roles, and those in use, ours included. */
  readonly maxConnections: number
  readonly usedConnections: number
  /** What the running gates may open. */
  readonly gates: number
  readonly connectionsPerGate: number
  readonly isolation: string
  /** Two connections of ours, open at once, were one at the server. */
  readonly sharesBackends: boolean
}

/** For look-ups and changes, for leases, and one that listens. */
export function connectionsPerGate(poolSize: number, fleetPoolSize: number): number {
  return poolSize + fleetPoolSize + 1
}

export function judgePostgres(facts: PostgresFacts): Inspection[] {
  return [
    { name: 'database server', ok: true, detail: `PostgreSQL ${facts.version}` },
    judgeStandbys(facts),
    judgeLog(facts),
    judgeConnections(facts),
    { name: 'isolation', ok: facts.isolation === 'read committed', detail: facts.isolation },
    {
      name: 'pooler',
      ok: !facts.sharesBackends,
      detail: facts.sharesBackends
        ? 'connections change their server between transactions: gates need the server itself, or a pooler in session mode'
        : 'none that is in the way',
    },
  ]
}

function judgeStandbys({ standbyNames, synchronousStandbys, walLevel }: PostgresFacts): Inspection {
  const name = 'synchronous standby'
  const warn = (detail: string) => ({ name, ok: true, warns: true, detail })
  if (standbyNames === '') {
    const why = walLevel === 'minimal' ? ' (and wal_level is minimal)' : ''
    return warn(`none${why}: a failover may undo changes that have answered`)
  }
  if (synchronousStandbys === null) {
    return warn(`${standbyNames}; the role needs pg_monitor to see whether they are connected`)
  }
  if (synchronousStandbys === 0) {
    const detail = `${standbyNames}, and none is connected: no change and no lease gets through`
    return { name, ok: false, detail }
  }
  const detail = `${standbyNames}, ${synchronousStandbys} connected`
  if (synchronousStandbys === 1) return warn(`${detail}: without it mail stops after one lease`)
  return { name, ok: true, detail }
}

function judgeLog({ timeline, notedTimeline }: PostgresFacts): Inspection {
  const name = 'timeline'
  if (timeline === null) {
    const detail = 'cannot be read: a promotion would go unnoticed'
    return { name, ok: false, detail }
  }
  const isNew = notedTimeline !== '' && notedTimeline !== timeline
  const detail = isNew ? `${timeline}, after ${notedTimeline}: a new era is to begin` : timeline
  return { name, ok: true, warns: isNew, detail }
}

function judgeConnections(facts: PostgresFacts): Inspection {
  const { maxConnections, usedConnections, gates, connectionsPerGate: each } = facts
  const name = 'connections'
  const detail = `${usedConnections} of ${maxConnections} are in use`
  if (usedConnections >= maxConnections) return { name, ok: false, detail }
  // One more than there are now: a rolling restart has it for a moment.
  const wanted = (gates + 1) * each
  if (wanted <= maxConnections) return { name, ok: true, detail }
  const advice = `${gates} gates and one that replaces another may open ${wanted}`
  return { name, ok: true, warns: true, detail: `${detail}; ${advice}` }
}

/** Two ways to the database, each with its own connections. */
export async function readPostgresFacts(
  db: Kysely<Schema>,
  fleet: Kysely<Schema>,
): Promise<Omit<PostgresFacts, 'connectionsPerGate'>> {
  const { rows } = await sql<Omit<PostgresFacts, 'timeline' | 'sharesBackends'>>`select
      current_setting('server_version') as version,
      current_setting('synchronous_standby_names') as "standbyNames",
      (select case when count(*) > count(sync_state) then null
        else count(*) filter (where sync_state in ('sync', 'quorum')) end
        from pg_stat_replication) as "synchronousStandbys",
      current_setting('wal_level') as "walLevel",
      (select timeline from revocation_clock) as "notedTimeline",
      current_setting('max_connections')::integer
        - current_setting('superuser_reserved_connections')::integer as "maxConnections",
      (select count(*) from pg_stat_activity
        where backend_type = 'client backend') as "usedConnections",
      (select count(*) from nodes where fenced = 0) as "gates",
      current_setting('transaction_isolation') as isolation`.execute(db)
  const [facts] = rows
  if (facts === undefined) throw new Error('PostgreSQL says nothing of itself')
  const [read] = await sql<{ now: string }>`select ${timeline} as now`
    .execute(db)
    .then(({ rows: found }) => found)
    .catch(() => [])
  return { ...facts, timeline: read?.now ?? null, sharesBackends: await shareBackends(db, fleet) }
}

/** A pooler in transaction mode gives the server's connection back while ours is still open, and to the next that asks. */
async function shareBackends(db: Kysely<Schema>, fleet: Kysely<Schema>): Promise<boolean> {
  const backend = async (connection: Kysely<Schema>) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(connection)
    return rows[0]?.pid
  }
  return db.connection().execute(async (one) => {
    const first = await backend(one)
    return fleet.connection().execute(async (other) => (await backend(other)) === first)
  })
}
