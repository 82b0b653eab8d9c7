import { chmodSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { Kysely, type SqliteDatabase, SqliteDialect, type SqliteStatement, sql } from 'kysely'
import type { Database, Inspection, Schema } from './schema.ts'

/** How long a change waits for another process to finish its own. */
const busyLimitMs = 5_000
const busyPauseMs = 5
/** Readers wait in the event loop's thread, and only in the instant after a crash: so not for long. */
const readerTimeoutMs = 250
/** How often the file is asked whether somebody has changed it: some microseconds each time. */
const watchIntervalMs = 15

/**
 * Opens the embedded database, and makes it, with its folder, when it is not there. Two connections: one for changes, in
 * turn, and one for reading, which never waits for the other (https://sqlite.org/wal.html).
 */
export function openSqlite(path: string): Database {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  const writing = openConnection(path, 0)
  // Token digests and sealed copies are nobody else's business.
  chmodSync(path, 0o600)
  const writer = kysely(writing)
  const reading = openConnection(path, readerTimeoutMs)
  const reader = kysely(reading)
  /** Changes of this process take turns; those of others are met by trying again. */
  let turn: Promise<unknown> = Promise.resolve()

  async function transact<T>(work: Parameters<Database['write']>[0]): Promise<T> {
    return writer.connection().execute(async (db) => {
      await beginImmediate(db)
      try {
        const result = await work({ db, dialect: 'sqlite' })
        await sql`commit`.execute(db)
        return result as T
      } catch (error) {
        if (writing.isTransaction) await sql`rollback`.execute(db)
        throw inOurWords(error)
      }
    })
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = turn.then(work)
    turn = done.catch(() => {})
    return done
  }

  const write = <T>(work: Parameters<Database['write']>[0]) => inTurn(() => transact<T>(work))

  /** Without waiting for the disk: the thread that would wait also serves. */
  const note = <T>(work: Parameters<Database['write']>[0]) =>
    inTurn(async () => {
      writing.exec('pragma synchronous = normal')
      try {
        return await transact<T>(work)
      } finally {
        writing.exec('pragma synchronous = full')
      }
    })

  return {
    dialect: 'sqlite',
    reader,
    write: write as Database['write'],

    fleet: {
      reader,
      write: (work) => (write as Database['write'])(({ db }) => work(db)),
      note: (work) => (note as Database['write'])(({ db }) => work(db)),
      watch: (listener) => watchFile(reading, listener),
    },

    async inspect() {
      return [await inspectMode(reader), await inspectIntegrity(reader)]
    },

    async close() {
      await turn
      await reader.destroy()
      await writer.destroy()
    },
  }
}

/** https://sqlite.org/pragma.html#pragma_data_version: it moves when another connection has committed. */
function watchFile(database: DatabaseSync, listener: () => void): () => void {
  const pragma = database.prepare('pragma data_version')
  const version = () => pragma.get()?.data_version
  let seen = version()
  const timer = setInterval(() => {
    const now = version()
    if (now === seen) return
    seen = now
    listener()
  }, watchIntervalMs)
  timer.unref()
  return () => clearInterval(timer)
}

/** The write lock is taken before the first read: else two that read would both find they may not write. */
async function beginImmediate(db: Kysely<Schema>) {
  for (let waited = 0; ; waited += busyPauseMs) {
    try {
      await sql`begin immediate`.execute(db)
      return
    } catch (error) {
      if (!isBusy(error) || waited >= busyLimitMs) throw error
      await delay(busyPauseMs)
    }
  }
}

/** https://sqlite.org/rescode.html; extended codes keep these in their low byte. */
const resultCode = { busy: 5, readOnly: 8, inputOutput: 10, full: 13 } as const

function resultCodeOf(error: unknown): number | undefined {
  return error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : undefined
}

function isBusy(error: unknown): boolean {
  return resultCodeOf(error) === resultCode.busy
}

/** By itself the library says no more than "disk I/O error". */
function inOurWords(error: unknown): unknown {
  const code = resultCodeOf(error)
  if (code !== resultCode.readOnly && code !== resultCode.inputOutput && code !== resultCode.full) {
    return error
  }
  const reason = error instanceof Error ? error.message : String(error)
  return new Error(`the database file cannot be written: ${reason}`, { cause: error })
}

function openConnection(path: string, timeout: number): DatabaseSync {
  // While the file is made, another process may hold it for an instant.
  const database = new DatabaseSync(path, { timeout: 1_000, enableForeignKeyConstraints: true })
  try {
    const mode = database.prepare('pragma journal_mode = wal').get()?.journal_mode
    if (mode !== 'wal') {
      throw new Error(
        `${path}: this file system cannot hold the database (journal mode "${mode}", not "wal")`,
      )
    }
    database.exec('pragma synchronous = full')
    database.exec(`pragma busy_timeout = ${timeout}`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

function kysely(database: DatabaseSync): Kysely<Schema> {
  return new Kysely<Schema>({ dialect: new SqliteDialect({ database: bridge(database) }) })
}

/** More statements than the store has. */
const maxStatements = 256

/** Gives node:sqlite the shape that Kysely's dialect expects, and keeps statements compiled. */
function bridge(database: DatabaseSync): SqliteDatabase {
  const statements = new Map<string, SqliteStatement>()

  function compile(text: string): SqliteStatement {
    const statement = database.prepare(text)
    return {
      reader: statement.columns().length > 0,
      all: (parameters) => statement.all(...parameters.map(bind)),
      run: (parameters) => statement.run(...parameters.map(bind)),
      iterate: (parameters) => statement.iterate(...parameters.map(bind)),
    }
  }

  return {
    prepare(text) {
      const known = statements.get(text)
      if (known !== undefined) return known
      const statement = compile(text)
      if (statements.size >= maxStatements) statements.clear()
      statements.set(text, statement)
      return statement
    },
    close() {
      statements.clear()
      database.close()
    },
  }
}

/** node:sqlite takes an object for a set of named parameters, without a word: nothing but plain values gets there. */
function bind(value: unknown): SQLInputValue {
  if (value === undefined) return null
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  throw new TypeError(`cannot store a value of type ${typeof value}`)
}

async function inspectMode(reader: Kysely<Schema>): Promise<Inspection> {
  const { rows } = await sql<{ journal_mode: string }>`pragma journal_mode`.execute(reader)
  const mode = rows[0]?.journal_mode ?? 'unknown'
  return { name: 'journal mode', ok: mode === 'wal', detail: mode }
}

async function inspectIntegrity(reader: Kysely<Schema>): Promise<Inspection> {
  const { rows } = await sql<{ quick_check: string }>`pragma quick_check`.execute(reader)
  const detail = rows.map((row) => row.quick_check).join('; ')
  return { name: 'database file', ok: detail === 'ok', detail }
}
