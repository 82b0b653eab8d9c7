import { Kysely, PostgresDialect, type PostgresPoolClient } from 'kysely'
import type { ClientBase, DatabaseError, PoolClient, PoolConfig, QueryResult } from 'pg'
import { OutcomeUnknown } from '../core/outcome-unknown.ts'
import { RefusedChange } from './change.ts'
import { connectionsPerGate, judgePostgres, readPostgresFacts } from './inspect-postgres.ts'
import { watchPostgres } from './postgres-watch.ts'
import type { Database, Schema } from './schema.ts'

/** A control plane that is stopped between its lock and its commit must not hold everybody. */
const lockTimeoutMs = 3_000
const idleInTransactionTimeoutMs = 2_000
/** A server that does not answer is a store that cannot be asked: the edges say 503 and 454. */
const connectTimeoutMs = 3_000
const queryTimeoutMs = 5_000
const keepAliveAfterMs = 10_000
/** Renewals and acknowledgements come one at a time. */
const maxFleetConnections = 2
/**
 * Whatever the defaults of the server or the role are. Not at the start of the connection, where the driver would set them:
 * a pooler refuses those, or drops them without a word.
 */
const sessionSettings = [
  `set statement_timeout = ${queryTimeoutMs}`,
  `set lock_timeout = ${lockTimeoutMs}`,
  `set idle_in_transaction_session_timeout = ${idleInTransactionTimeoutMs}`,
  `set default_transaction_isolation = 'read committed'`,
  // Waiting for the standby is what fences a primary that was deposed; that it was not waited for is a warning.
  'set synchronous_commit = on',
  'set client_min_messages = warning',
  // Compiling a plan whose cost was guessed too high takes ten times as long as such statements do.
  'set jit = off',
].join('; ')
/** PostgreSQL's type number of bigint. */
const int8 = 20

export interface PostgresOptions {
  /** For look-ups and changes. */
  readonly maxConnections: number
}

/** Opens a PostgreSQL database. Throws when it cannot be reached. */
export async function openPostgres(
  url: string,
  { maxConnections }: PostgresOptions = { maxConnections: 10 },
): Promise<Database> {
  // Only here, so that a gate on SQLite never loads the driver.
  const { default: pg } = await import('pg')
  const config: PoolConfig = {
    connectionString: url,
    application_name: 'postern',
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    // A line that went dead without a word, as that of the listener may, is found within half a minute.
    keepAlive: true,
    keepAliveInitialDelayMillis: keepAliveAfterMs,
    types: {
      // Ids, epochs and instants are far below 2^53.
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text'),
    } as NonNullable<PoolConfig['types']>,
  }
  const db = connect(maxConnections)
  const fleet = connect(maxFleetConnections)

  /** Connections whose last commit did not get to the standby that it was to wait for. */
  const unreplicated = new WeakSet<object>()

  function connect(max: number): Kysely<Schema> {
    const pool = new pg.Pool({ ...config, max, onConnect: prepareSession })
    // A connection that breaks while idle leaves the pool; one that breaks in use fails its query. Neither ends the process.
    pool.on('error', () => {})
    pool.on('connect', (client) => {
      client.on('error', () => {})
      client.on('notice', ({ routine }) => {
        if (routine === replicationWait) unreplicated.add(client)
      })
    })
    return new Kysely<Schema>({
      dialect: new PostgresDialect({
        pool: {
          connect: async () =>
            guarded(await pool.connect(), { serverError: pg.DatabaseError, unreplicated }),
          end: () => pool.end(),
          options: pool.options,
        },
      }),
    })
  }

  return {
    dialect: 'postgres',
    reader: db,
    async write(work) {
      try {
        return await db
          .transaction()
          .setIsolationLevel('read committed')
          .execute((transaction) => work({ db: transaction, dialect: 'postgres' }))
      } catch (error) {
        throw inOurWords(error)
      }
    },

    fleet: {
      reader: fleet,
      // A statement by itself is a transaction that is committed when it is answered.
      write: (work) => work(fleet),
      note: (work) => work(fleet),
      watch: (listener) => watchPostgres(pg.Client, config, listener),
    },

    async inspect() {
      return judgePostgres({
        ...(await readPostgresFacts(db, fleet)),
        connectionsPerGate: connectionsPerGate(maxConnections, maxFleetConnections),
      })
    },

    async close() {
      await fleet.destroy()
      await db.destroy()
    },
  }
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function inOurWords(error: unknown): unknown {
  switch ((error as { code?: unknown }).code) {
    case '55P03':
      return new Error('the database is busy with another change: nothing was changed, try again', {
        cause: error,
      })
    case '23503':
      // Whatever a change names it has looked up: it went meanwhile.
      return new RefusedChange({ reason: 'no-such-domain' })
    default:
      return error
  }
}

/**
 * Before its first use. A standby would deny what it has not heard of yet; and a server that is one cannot become the
 * primary, or the other way round, without ending its connections or the other's.
 */
async function prepareSession(client: ClientBase) {
  await client.query(sessionSettings)
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby')
  if (rows[0]?.standby !== false) {
    throw new Error('the database server is a standby, or still recovering: gates need the primary')
  }
}

/** The function of the server that warns "canceling wait for synchronous replication", in whatever language. */
const replicationWait = 'SyncRepWaitForLSN'
/** The server ends the connection: an operator, a shutdown or a crash of another process told it to. */
const connectionEnds = /^57P/

/**
 * A connection whose query ended in anything but the server's own word (a time-out, a cut line) is not used again: its
 * answer may still come, and would be taken for another's. And of a commit that so ended, or that was not waited for by
 * its standby, nobody can say whether it will stay.
 */
function guarded(
  client: PoolClient,
  {
    serverError,
    unreplicated,
  }: { readonly serverError: typeof DatabaseError; readonly unreplicated: WeakSet<object> },
): PostgresPoolClient {
  let broken = false
  async function query(text: string, parameters: unknown[]) {
    // Its transaction ends with the connection; a second error would hide the first.
    if (broken && text === 'rollback') return { command: 'ROLLBACK', rowCount: 0, rows: [] }
    let result: QueryResult
    try {
      result = await client.query(text, parameters)
    } catch (error) {
      if (error instanceof serverError && !connectionEnds.test(error.code ?? '')) throw error
      broken = true
      throw text === 'commit' ? new OutcomeUnknown('no answer came', { cause: error }) : error
    }
    if (unreplicated.delete(client)) throw new OutcomeUnknown('the standby did not answer in time')
    return result
  }
  // Nothing here streams, so that the form of `query` that takes a cursor is left out.
  return { query, release: () => client.release(broken) } as unknown as PostgresPoolClient
}
