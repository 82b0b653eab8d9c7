import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs, promisify } from 'node:util'
import pg from 'pg'
import { Agent, request } from 'undici'
import { startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram, type Workplace } from '../helpers/program.ts'

/**
 * How long calls of the management API take in an account with many tokens, over HTTP through a whole gate:
 *
 *     npm run measure-api -- --tokens 100000 --domains 100
 *
 * As an admin of the account and as a token that administers one domain, on both databases, without statistics and with
 * them. The tokens are spread over the domains: of one domain, its token sees all.
 */

const { values } = parseArgs({
  options: {
    tokens: { type: 'string', default: '100000' },
    domains: { type: 'string', default: '100' },
    calls: { type: 'string', default: '60' },
  },
})
const [tokens, domains, calls] = [values.tokens, values.domains, values.calls].map(Number) as [
  number,
  number,
  number,
]
const agent = new Agent()

try {
  const measured = [await measureSqlite(), await measurePostgres()]
  console.log(`p50 of ${calls} calls in ms; ${tokens} tokens on ${domains} domains`)
  console.table(Object.assign({}, ...measured))
} finally {
  await agent.close()
}

async function measureSqlite() {
  const place = createWorkplace()
  try {
    const callers = await fill(place)
    const before = await measureGate(place, callers, 'SQLite')
    const db = new DatabaseSync(join(place.folder, 'data/postern.db'))
    db.exec('analyze')
    db.close()
    return { ...before, ...(await measureGate(place, callers, 'SQLite analyzed')) }
  } finally {
    await place.remove()
  }
}

async function measurePostgres() {
  const postgres = await startPostgres()
  const url = await postgres.createDatabase()
  const place = createWorkplace({ POSTERN_DATABASE_URL: url })
  place.environment.POSTERN_SEAL_KEY_FILE = join(place.folder, 'seal.key')
  writeFileSync(place.environment.POSTERN_SEAL_KEY_FILE, randomBytes(32).toString('base64'))
  const client = new pg.Client({ connectionString: url })
  try {
    await client.connect()
    await place.json('migrate')
    // Statistics come when they are asked for, and not in between.
    for (const table of ['tokens', 'grants', 'domains']) {
      await client.query(`alter table ${table} set (autovacuum_enabled = off)`)
    }
    const callers = await fill(place)
    const imported = await measureGate(place, callers, 'PostgreSQL')
    await client.query('delete from pg_statistic where starelid >= 16384')
    await client.query(
      `update pg_class set reltuples = -1, relpages = 0, relallvisible = 0
        where relname in ('tokens', 'grants', 'domains')`,
    )
    const bare = await measureGate(place, callers, 'PostgreSQL without statistics')
    await client.query('vacuum analyze')
    const vacuumed = await measureGate(place, callers, 'PostgreSQL vacuumed')
    return { ...imported, ...bare, ...vacuumed }
  } finally {
    await client.end()
    await place.remove()
    await postgres.stop()
  }
}

interface Callers {
  readonly admin: string
  readonly ofDomain: string
}

async function fill(place: Workplace): Promise<Callers> {
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'd0.test')
  const make = ['token', 'create', '--account', '1', '--name']
  const { token: admin } = await place.json(...make, 'Boss', '--account-level', 'admin')
  const { token: ofDomain } = await place.json(...make, 'One', '--domain', 'd0.test:admin')
  const gate = await place.start('dev')
  for (let i = 1; i < domains; i++) {
    const body = { domain: { domain_name: `d${i}.test` } }
    await call(gate, admin, 'POST', '/api/domains', body)
  }
  await gate.stop()
  const lines = Array.from({ length: tokens }, (_, i) => {
    return `customer ${i},${randomBytes(16).toString('hex')},d${i % domains}.test:admin`
  })
  const file = join(place.folder, 'many.csv')
  writeFileSync(file, `name,token,domains\n${lines.join('\n')}\n`)
  const importing = [resolve('src/postern.js'), 'import', file]
  const { folder: cwd, environment: env } = place
  await promisify(execFile)(process.execPath, importing, { cwd, env })
  return { admin, ofDomain }
}

async function measureGate(place: Workplace, { admin, ofDomain }: Callers, name: string) {
  const gate = await place.start('dev')
  const measured: Record<string, Record<string, string>> = {}
  for (const [caller, bearerToken] of [
    ['admin of the account', admin],
    ['admin of one domain', ofDomain],
  ] as const) {
    const get = (path: string) => call(gate, bearerToken, 'GET', `/api/api_tokens?${path}`)
    const seen: any[] = await get('limit=1000')
    const unchanged = seen.filter(
      ({ expires_at, resources }) => expires_at === null && resources[0].access_level === 100,
    )
    const next = () => `/api/api_tokens/${unchanged.pop().id}`
    const { id: middle } = seen[Math.floor(seen.length / 2)]
    const viewer = { resources: [{ resource_type: 'domain', resource_id: 1, access_level: 10 }] }
    const kinds: Record<string, () => Promise<unknown>> = {
      'first page': () => get('limit=100'),
      'later page': () => get(`limit=100&after=${middle}`),
      'search, some': () => get('limit=100&search=customer%205'),
      'search, many': () => get('limit=100&search=customer'),
      'search, none': () => get('limit=100&search=nowhere'),
      'of one domain': () => get('limit=100&domain_ids[]=1'),
      reset: () => call(gate, bearerToken, 'POST', `${next()}/reset`),
      permissions: () => call(gate, bearerToken, 'PATCH', next(), viewer),
    }
    const row: Record<string, string> = {}
    for (const [kind, ask] of Object.entries(kinds)) row[kind] = await medianOf(ask)
    measured[`${name}, ${caller}`] = row
  }
  await gate.stop()
  return measured
}

async function medianOf(ask: () => Promise<unknown>): Promise<string> {
  const times: number[] = []
  for (let i = 0; i < calls; i++) {
    const startedAt = performance.now()
    await ask()
    times.push(performance.now() - startedAt)
  }
  return (times.toSorted((a, b) => a - b)[Math.floor(calls / 2)] ?? 0).toFixed(1)
}

async function call(
  gate: RunningProgram,
  bearerToken: string,
  method: 'GET' | 'POST' | 'PATCH',
  path: string,
  body?: object,
) {
  const answer = await request(gate.ready.admin + path, {
    dispatcher: agent,
    method,
    headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  const said = await answer.body.text()
  if (answer.statusCode !== 200) throw new Error(`${method} ${path}: ${said}`)
  return JSON.parse(said)
}
