import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openStore } from '../../src/store/store.ts'
import { createCertificate } from '../helpers/certificate.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'

/** TLS to PostgreSQL is asked for in the URL, as libpq's users know it. */

const folder = mkdtempSync(join(tmpdir(), 'postern-postgres-tls-'))
const ours = createCertificate('localhost')
const another = createCertificate('localhost')
let postgres: Postgres
let url: string

function save(name: string, content: string): string {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

beforeAll(async () => {
  postgres = await startPostgres()
  url = (await postgres.createDatabase()).replace('127.0.0.1', 'localhost')
  postgres.writeFile('server.crt', ours.cert)
  postgres.writeFile('server.key', ours.key)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('alter system set ssl = on')
  await client.query('select pg_reload_conf()')
  while ((await client.query('show ssl')).rows[0].ssl !== 'on') await new Promise(setImmediate)
  await client.end()
}, 300_000)
afterAll(async () => {
  await postgres.stop()
  rmSync(folder, { recursive: true })
})

/** How many of the connections of a store are not encrypted. */
async function inTheClear(): Promise<number> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ count: string }>(
    `select count(*) from pg_stat_activity join pg_stat_ssl using (pid)
     where application_name = 'postern' and not ssl`,
  )
  await client.end()
  return Number(rows[0]?.count)
}

test('with sslmode=verify-full every connection is encrypted, the one that listens too', async () => {
  const store = await openStore(`${url}?sslmode=verify-full&sslrootcert=${save('ca', ours.cert)}`)
  await store.migrate()
  let heard = 0
  const stop = store.watchLog(() => {
    heard += 1
  })
  await expect.poll(() => heard, { timeout: 5_000 }).toBe(1)
  await store.readClock()
  expect(await inTheClear()).toBe(0)
  stop()
  await store.close()
})

test('a server that another authority vouches for is not talked to', async () => {
  const store = await openStore(
    `${url}?sslmode=verify-full&sslrootcert=${save('other', another.cert)}`,
  )
  await expect(store.ping()).rejects.toThrow(/certificate/)
  await store.close()
})
