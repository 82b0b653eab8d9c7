import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { judgePostgres, type PostgresFacts } from '../../src/store/inspect-postgres.ts'
import { openStore } from '../../src/store/store.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'

const good: PostgresFacts = {
  version: '15.1',
  standbyNames: 'ANY 1 (a, b)',
  synchronousStandbys: 2,
  walLevel: 'replica',
  timeline: '00000001',
  notedTimeline: '00000001',
  maxConnections: 97,
  usedConnections: 30,
  gates: 3,
  connectionsPerGate: 13,
  isolation: 'read committed',
  sharesBackends: false,
}

type Verdict = 'ok' | 'warn' | 'bad'

const cases: readonly (readonly [string, Partial<PostgresFacts>, string, Verdict])[] = [
  ['two synchronous standbys', {}, 'synchronous standby', 'ok'],
  ['a single server', { standbyNames: '' }, 'synchronous standby', 'warn'],
  ['only one standby is connected', { synchronousStandbys: 1 }, 'synchronous standby', 'warn'],
  ['standbys cannot be seen', { synchronousStandbys: null }, 'synchronous standby', 'warn'],
  ['no standby is connected', { synchronousStandbys: 0 }, 'synchronous standby', 'bad'],
  ['the first change is yet to come', { notedTimeline: '' }, 'timeline', 'ok'],
  ['the server was promoted', { timeline: '00000002' }, 'timeline', 'warn'],
  ['the timeline cannot be read', { timeline: null }, 'timeline', 'bad'],
  ['gates fit with one to spare', { maxConnections: 52 }, 'connections', 'ok'],
  ['gates fit, but not one more', { maxConnections: 51 }, 'connections', 'warn'],
  ['no connection is left', { usedConnections: 97 }, 'connections', 'bad'],
  ['another isolation', { isolation: 'repeatable read' }, 'isolation', 'bad'],
  ['connections of the pooler', { sharesBackends: true }, 'pooler', 'bad'],
]

test.each(cases)('%s: %o', (_, facts, name, verdict) => {
  const check = judgePostgres({ ...good, ...facts }).find((candidate) => candidate.name === name)
  const found = check?.ok ? (check.warns ? 'warn' : 'ok') : 'bad'
  expect(found).toBe(verdict)
  expect(check?.detail).not.toBe('')
})

describe('a real server', () => {
  let postgres: Postgres
  beforeAll(async () => {
    postgres = await startPostgres()
  }, 300_000)
  afterAll(() => postgres.stop())

  test('is asked for all of it, and a single one is in order with a warning', async () => {
    const store = await openStore(await postgres.createDatabase())
    await store.migrate()
    const checks = await store.inspect()
    expect(checks.filter(({ ok }) => !ok)).toEqual([])
    const warned = checks.filter(({ warns }) => warns).map(({ name }) => name)
    expect(warned).toEqual(['synchronous standby'])
    const timeline = checks.find(({ name }) => name === 'timeline')
    expect(timeline?.detail).toBe('00000001')
    await store.close()
  })

  test('that is a standby is not used: it would deny what it has not heard of', async () => {
    const standby = await startPostgres({ standbyOf: { primary: postgres, name: 'a' } })
    const database = new URL(await postgres.createDatabase()).pathname
    const url = `postgres://postgres@127.0.0.1:${standby.port}${database}`
    const client = new pg.Client({ connectionString: url.replace(database, '/postgres') })
    await client.connect()
    const find = `select from pg_database where datname = '${database.slice(1)}'`
    while ((await client.query(find)).rowCount === 0) await new Promise(setImmediate)
    await client.end()
    const store = await openStore(url)
    await expect(store.findDomain('a.example')).rejects.toThrow(/gates need the primary/)
    await store.close()
    await standby.stop()
  })
})
