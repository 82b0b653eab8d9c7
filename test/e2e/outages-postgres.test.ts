import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { createLine, type Line } from '../helpers/line.ts'
import { createOutageBench, type OutageBench } from '../helpers/outage-bench.ts'
import { outageRow } from '../helpers/outage-table.ts'
import { type Postgres, startPostgres } from '../helpers/postgres.ts'
import type { RunningProgram } from '../helpers/program.ts'
import { storeOutage } from './store-outage.contract.ts'

/** PostgreSQL goes away in every way that it can; one gate lives through all of them without a restart. */

let postgres: Postgres
let line: Line
let direct: string
let bench: OutageBench
let gate: RunningProgram

beforeAll(async () => {
  postgres = await startPostgres()
  direct = await postgres.createDatabase()
  const { hostname, port } = new URL(direct)
  line = await createLine({ host: hostname, port: Number(port) })
  const url = new URL(direct)
  url.port = String(line.port)
  bench = await createOutageBench({ POSTERN_DATABASE_URL: url.href })
  gate = await bench.place.start('serve')
}, 300_000)
afterAll(async () => {
  await bench.close()
  await line.close()
  await postgres.stop()
})

const stage = () => ({ bench, gate })

/** A connection of the operator's, to another database of the same server. */
async function connectOperator() {
  const url = new URL(direct)
  url.pathname = '/postgres'
  const client = new pg.Client({ connectionString: url.href })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function operate(statement: string) {
  const client = await connectOperator()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

const endGateConnections = `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'postern'`

storeOutage(outageRow('PostgreSQL stopped'), stage, {
  begin: () => postgres.kill(),
  end: () => postgres.start(),
})

storeOutage(outageRow('PostgreSQL hanging'), stage, {
  begin: () => postgres.pause(),
  end: () => postgres.resume(),
})

storeOutage(outageRow('PostgreSQL refusing connections'), stage, {
  async begin() {
    const database = new URL(direct).pathname.slice(1)
    await operate(`alter database ${database} with allow_connections false`)
    await operate(endGateConnections)
  },
  async end() {
    const database = new URL(direct).pathname.slice(1)
    await operate(`alter database ${database} with allow_connections true`)
  },
})

const hoarded: pg.Client[] = []

storeOutage(outageRow('PostgreSQL out of connections'), stage, {
  async begin() {
    const operator = await connectOperator()
    hoarded.push(operator)
    for (;;) {
      await hoardConnections()
      const { rowCount } = await operator.query(endGateConnections)
      if (rowCount === 0) return
    }
  },
  end: () => Promise.all(hoarded.map((client) => client.end())),
})

/** Until the server has none left, not even the ones that it keeps for superusers. */
async function hoardConnections() {
  for (;;) {
    try {
      hoarded.push(await connectOperator())
    } catch {
      return
    }
  }
}

storeOutage(outageRow('PostgreSQL cut off by the network'), stage, {
  begin: () => line.cut(),
  end: () => line.mend(),
})

// The last one, since a promoted server has another timeline.
storeOutage(outageRow('PostgreSQL read-only (a standby, or recovering)'), stage, {
  async begin() {
    await postgres.kill()
    // It then waits for a primary to follow: it answers questions, and takes no change.
    postgres.writeFile('standby.signal', '')
    await postgres.start()
  },
  end: () => operate('select pg_promote()'),
})
