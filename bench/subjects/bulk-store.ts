import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { digestToken, mintToken } from '../../src/core/token.ts'
import { openStore } from '../../src/store/store.ts'
import { tokenPrefix } from './fixture.ts'
import { createSeededBytes } from './seeded.ts'

/** Stores with more tokens than anybody would make one by one: written past the store, row by row the same. */

export const bulkDomain = 'bench-bulk.com'

/** The token of this number, in every run. It begins with its number: seeded bytes of two of a million numbers may agree. */
export function bulkToken(index: number): string {
  const digits = Uint8Array.from({ length: 5 }, (_, place) => Math.floor(index / 62 ** place) % 62)
  const seeded = createSeededBytes(index)
  const given = [digits]
  return mintToken(tokenPrefix, (length) => given.pop() ?? seeded(length))
}

const at = 1_790_000_000_000
const rowsOfStatement = 5_000

function rowOf(index: number) {
  const token = bulkToken(index)
  const name = `token ${index}`
  return { id: index + 1, name, digest: digestToken(token), lastFour: token.slice(-4) }
}

async function makeAccount(databaseUrl: string) {
  const store = await openStore(databaseUrl)
  await store.migrate()
  await store.close()
}

/** Fills an empty SQLite database. */
export async function fillSqlite(file: string, tokens: number) {
  await makeAccount(`sqlite:${file}`)
  const db = new DatabaseSync(file)
  try {
    // A fill that is interrupted is thrown away; all of the index that is still being sorted into stays in memory.
    db.exec('pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -2000000')
    db.exec(`insert into accounts (id, name, created_at) values (1, 'Bench', ${at})`)
    db.exec(
      `insert into domains (id, account_id, name, state, created_at) values (1, 1, '${bulkDomain}', 'verified', ${at})`,
    )
    const token = db.prepare(
      `insert into tokens (id, account_id, name, digest, last_four, created_by, created_at, search_text)
        values (?, 1, ?, ?, ?, 'bench', ${at}, ?)`,
    )
    const grant = db.prepare(
      `insert into grants (token_id, domain_id, level) values (?, 1, 'admin')`,
    )
    db.exec('begin')
    for (let i = 0; i < tokens; i++) {
      const { id, name, digest, lastFour } = rowOf(i)
      token.run(id, name, digest, lastFour, name)
      grant.run(id)
    }
    db.exec('commit; pragma journal_mode = wal')
  } finally {
    db.close()
  }
}

/** Fills an empty PostgreSQL database; answers how many bytes of it the tokens take. */
export async function fillPostgres(url: string, tokens: number): Promise<number> {
  await makeAccount(url)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const size = async () =>
    Number((await client.query('select pg_database_size(current_database()) as size')).rows[0].size)
  try {
    const before = await size()
    await client.query(
      `insert into accounts (id, name, created_at) overriding system value values (1, 'Bench', ${at})`,
    )
    await client.query(
      `insert into domains (id, account_id, name, state, created_at) overriding system value
        values (1, 1, '${bulkDomain}', 'verified', ${at})`,
    )
    for (let first = 0; first < tokens; first += rowsOfStatement) {
      const length = Math.min(rowsOfStatement, tokens - first)
      const rows = Array.from({ length }, (_, i) => rowOf(first + i))
      await client.query(
        `insert into tokens (id, account_id, name, digest, last_four, created_by, created_at, search_text)
          overriding system value
          select id, 1, name, digest, last_four, 'bench', ${at}, name
          from unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) as t (id, name, digest, last_four)`,
        [
          rows.map(({ id }) => id),
          rows.map(({ name }) => name),
          rows.map(({ digest }) => digest),
          rows.map(({ lastFour }) => lastFour),
        ],
      )
      await client.query(
        `insert into grants (token_id, domain_id, level) select id, 1, 'admin' from unnest($1::bigint[]) as id`,
        [rows.map(({ id }) => id)],
      )
    }
    return (await size()) - before
  } finally {
    await client.end()
  }
}
