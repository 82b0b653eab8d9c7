import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '../../test/helpers/postgres.ts'
import { startRedis } from '../../test/helpers/redis.ts'
import type { HttpUpstreamAgent } from '../load/http-upstream.ts'
import type { SmtpUpstreamAgent } from '../load/smtp-upstream.ts'
import type { Agent } from '../processes/agent.ts'
import type { Crew } from '../processes/crew.ts'
import { type Fixture, fillStore } from './fixture.ts'
import { type RunningGate, startGate } from './postern.ts'

/** Gates of one fleet, as they run in production: each a process, on one database. */
export interface Fleet {
  readonly gates: readonly RunningGate[]
  readonly upstream: Agent<HttpUpstreamAgent>
  readonly accountId: number
  /** Ids of the fixture's tokens, in its order. */
  readonly ids: readonly number[]
}

export type FleetKind = 'SQLite' | 'PostgreSQL' | 'PostgreSQL and Redis'

export interface FleetStart {
  readonly kind: FleetKind
  readonly fixture: Fixture
  readonly nodes?: number
  readonly settings?: Record<string, string>
}

/** Servers are started once, and shared by the fleets that one workload starts. */
export function createFleetStarter(crew: Crew) {
  let postgres: ReturnType<typeof startPostgres> | undefined
  let redis: ReturnType<typeof startRedis> | undefined
  let upstreams: ReturnType<typeof startUpstreams> | undefined
  let fleets = 0

  async function startUpstreams() {
    const http = crew.agent<HttpUpstreamAgent>(new URL('../load/http-upstream.ts', import.meta.url))
    const smtp = crew.agent<SmtpUpstreamAgent>(new URL('../load/smtp-upstream.ts', import.meta.url))
    return {
      agent: http,
      httpUpstream: await http.call('listen', undefined),
      smtpUpstream: await smtp.call('listen', undefined),
    }
  }

  async function databaseFor(kind: FleetKind, folder: string): Promise<string> {
    if (kind === 'SQLite') return `sqlite:${join(folder, 'gate.db')}`
    if (postgres === undefined) {
      postgres = startPostgres()
      crew.atEnd(async () => (await postgres)?.stop())
    }
    return (await postgres).createDatabase()
  }

  async function redisUrl(): Promise<string> {
    if (redis === undefined) {
      redis = startRedis()
      crew.atEnd(async () => (await redis)?.stop())
    }
    return (await redis).url
  }

  return async function startFleet({
    kind,
    fixture,
    nodes = 1,
    settings,
  }: FleetStart): Promise<Fleet> {
    upstreams ??= startUpstreams()
    const { agent, httpUpstream, smtpUpstream } = await upstreams
    const name = `fleet ${fleets++}`
    const folder = crew.folder(name)
    const databaseUrl = await databaseFor(kind, folder)
    const { accountId, ids } = await fillStore(databaseUrl, fixture)
    const sealKey = join(folder, 'seal.key')
    if (kind !== 'SQLite') writeFileSync(sealKey, randomBytes(32).toString('base64'))
    const gates: RunningGate[] = []
    for (let i = 0; i < nodes; i++) {
      gates.push(
        await startGate({
          ...{ crew, databaseUrl, httpUpstream, smtpUpstream },
          name: `${name} node ${i}`,
          settings: {
            POSTERN_SEAL_KEY_FILE: sealKey,
            ...(kind === 'PostgreSQL and Redis' && { POSTERN_REDIS_URL: await redisUrl() }),
            ...settings,
          },
        }),
      )
    }
    return { gates, upstream: agent, accountId, ids }
  }
}
