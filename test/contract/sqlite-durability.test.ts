import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Kysely, sql } from 'kysely'
import { afterAll, expect, test } from 'vitest'
import type { Schema } from '../../src/store/schema.ts'
import { openSqlite } from '../../src/store/sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-sqlite-durability-'))
const database = openSqlite(join(folder, 'durability.db'))
afterAll(async () => {
  await database.close()
  rmSync(folder, { recursive: true })
})

/** https://sqlite.org/pragma.html#pragma_synchronous */
const normal = 1
const full = 2

async function synchronous(db: Kysely<Schema>): Promise<number | undefined> {
  const { rows } = await sql<{ synchronous: number }>`pragma synchronous`.execute(db)
  return rows[0]?.synchronous
}

test('a change is on the disk before it answers, and what only running processes need does not wait for that', async () => {
  const { write, note } = database.fleet
  expect(await Promise.all([write(synchronous), note(synchronous), write(synchronous)])).toEqual([
    full,
    normal,
    full,
  ])
  const change = database.write as <T>(
    work: (_: { db: Kysely<Schema> }) => Promise<T>,
  ) => Promise<T>
  expect(await change(({ db }) => synchronous(db))).toBe(full)
})

test('a note that failed leaves the next change as lasting as any', async () => {
  const failed = database.fleet.note(() => Promise.reject(new Error('no')))
  const next = database.fleet.write(synchronous)
  await expect(failed).rejects.toThrow('no')
  expect(await next).toBe(full)
})
