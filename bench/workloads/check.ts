import { join } from 'node:path'
import { startPostgres } from '../../test/helpers/postgres.ts'
import { startRedis } from '../../test/helpers/redis.ts'
import { createLatencies } from '../measure/latency.ts'
import { figuresOf, inRounds } from '../measure/rounds.ts'
import { ratioOf, spreadOf } from '../measure/statistics.ts'
import type { Agent } from '../processes/agent.ts'
import { formatDuration, formatRatio } from '../report/format.ts'
import { createFixture, fillStore } from '../subjects/fixture.ts'
import type { Bench, Workload } from '../workload.ts'
import type { CheckCost, CheckProcess, CheckSetting } from './check-process.ts'
import { mergeLatencies } from './compare.ts'

/** What one row of the table measures, and what it is compared with. */
interface Check {
  readonly name: string
  readonly kind: 'floor' | 'postern'
  readonly against?: string
  measure(forMs: number): Promise<CheckCost>
}

const bareMemory = 'digest + LRU get, nothing else'
const bareRedis = 'bare Redis GET'
/** Nothing stays in memory, so that each check goes one tier further down. */
const nearlyNoCache = 1

export const check: Workload = {
  name: 'check',
  about:
    'From the header fields of a request to the decision about token and sender, in one process and one at a time, by where ' +
    'the credential is found. Each outcome and each tier is counted: a run in which one is not the expected one fails.',

  async run(bench) {
    const { plan, progress } = bench
    const checks = await prepareChecks(bench)
    const samples = await inRounds(plan.rounds, checks, async ({ name, measure }, round) => {
      if (round === 0) await measure(plan.warmMs)
      const cost = await measure(plan.measureMs / 3)
      progress(`round ${round + 1}/${plan.rounds}  ${name}: ${formatDuration(cost.wallNanos)}`)
      return cost
    })
    const figures = (name: string, figure: (cost: CheckCost) => number) =>
      figuresOf(samples, name, figure)
    const medians = (name: string) =>
      figures(name, ({ latencies }) => createLatencies(latencies).at(50))
    const rows = checks.map(({ name, against }) => {
      const latencies = createLatencies(mergeLatencies(samples, name))
      return [
        name,
        formatDuration(spreadOf(figures(name, ({ cpuNanos }) => cpuNanos)).median),
        formatDuration(spreadOf(figures(name, ({ wallNanos }) => wallNanos)).median),
        ...[50, 99, 99.9].map((percentile) => formatDuration(latencies.at(percentile))),
        against === undefined
          ? '–'
          : `${formatRatio(ratioOf(medians(name), medians(against)))} ${against}`,
      ]
    })
    return {
      samples,
      tables: [
        {
          title: 'One check, by where the credential is found',
          columns: ['check', 'CPU', 'wall', 'p50', 'p99', 'p99.9', 'p50 against'],
          rows,
        },
      ],
      curves: [
        {
          title: 'One check at a time',
          series: checks.map(({ name, kind }) => ({
            label: name,
            kind,
            latencies: mergeLatencies(samples, name),
          })),
        },
      ],
      notes: [
        'Percentiles include two looks at the clock, some 60 ns.',
        'In memory the last clearance of a token is the answer; decided anew it is for a token that sends as several domains in turn.',
      ],
    }
  },
}

async function prepareChecks({ crew, progress }: Bench): Promise<Check[]> {
  const fixture = createFixture({ tokens: 1_000, domains: 1 })
  const { senders } = fixture
  progress('starting PostgreSQL and Redis')
  const postgres = await startPostgres()
  crew.atEnd(() => postgres.stop())
  const redis = await startRedis()
  crew.atEnd(() => redis.stop())
  const sqliteUrl = `sqlite:${join(crew.folder('check'), 'gate.db')}`
  const postgresUrl = await postgres.createDatabase()
  await fillStore(sqliteUrl, fixture)
  await fillStore(postgresUrl, fixture)

  async function open(setting: Omit<CheckSetting, 'senders'>): Promise<Agent<CheckProcess>> {
    const agent = crew.agent<CheckProcess>(new URL('check-process.ts', import.meta.url))
    await agent.call('open', { ...setting, senders })
    await agent.call('fill', undefined)
    return agent
  }
  const warm = await open({ databaseUrl: sqliteUrl, cacheEntries: 100_000 })
  const sqlite = await open({ databaseUrl: sqliteUrl, cacheEntries: nearlyNoCache })
  const sharing = { databaseUrl: postgresUrl, cacheEntries: nearlyNoCache }
  const postgresOnly = await open(sharing)
  const shared = await open({ ...sharing, redisUrl: redis.url })

  const known = (agent: Agent<CheckProcess>, tier?: 'shared' | 'store') => (forMs: number) =>
    agent.call('measure', { kind: 'known', tier, forMs })
  return [
    {
      name: bareMemory,
      kind: 'floor',
      measure: (forMs) => warm.call('measureBareMemory', { forMs }),
    },
    { name: 'memory', kind: 'postern', against: bareMemory, measure: known(warm) },
    {
      name: 'memory, decided anew',
      kind: 'postern',
      against: bareMemory,
      measure: (forMs) => warm.call('measure', { kind: 'anew', tier: undefined, forMs }),
    },
    {
      name: 'malformed: never looked up',
      kind: 'postern',
      measure: (forMs) => warm.call('measure', { kind: 'malformed', tier: undefined, forMs }),
    },
    {
      name: 'unknown, asked before',
      kind: 'postern',
      measure: (forMs) => warm.call('measure', { kind: 'unknown', tier: undefined, forMs }),
    },
    {
      name: 'unknown, each another: SQLite',
      kind: 'postern',
      measure: (forMs) => warm.call('measure', { kind: 'strangers', tier: 'store', forMs }),
    },
    { name: 'SQLite', kind: 'postern', measure: known(sqlite, 'store') },
    { name: 'PostgreSQL', kind: 'postern', measure: known(postgresOnly, 'store') },
    {
      name: bareRedis,
      kind: 'floor',
      measure: (forMs) => shared.call('measureBareRedis', { forMs }),
    },
    { name: 'Redis', kind: 'postern', against: bareRedis, measure: known(shared, 'shared') },
  ]
}
