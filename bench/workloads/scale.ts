import { statSync } from 'node:fs'
import { join } from 'node:path'
import { startPostgres } from '../../test/helpers/postgres.ts'
import { startRedis } from '../../test/helpers/redis.ts'
import { expectOnly } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import type { HttpUpstreamAgent } from '../load/http-upstream.ts'
import { createLatencies } from '../measure/latency.ts'
import { figuresOf, inRounds, type Sample } from '../measure/rounds.ts'
import { ratioOf, spreadOf } from '../measure/statistics.ts'
import type { Agent } from '../processes/agent.ts'
import { cpuMicrosOf } from '../processes/cpu.ts'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatRatio,
  formatSpread,
} from '../report/format.ts'
import { bulkDomain, bulkToken } from '../subjects/bulk-store.ts'
import type { ImportOnly } from '../subjects/import-only.ts'
import { startGate } from '../subjects/postern.ts'
import type { Bench, Table, Workload } from '../workload.ts'
import { mergeLatencies } from './compare.ts'
import type { ScaleProcess } from './scale-process.ts'

/** As `POSTERN_CACHE_ENTRIES` comes. */
const cacheEntries = 100_000
const maxWeighed = 100_000
const fillLimitMs = 900_000
const useLimitMs = 300_000

export const scale: Workload = {
  name: 'scale',
  about:
    'Stores of a thousand tokens and more, ten million in a full run: what a token takes on disk, in PostgreSQL, in Redis and in memory; how ' +
    'often memory has it and how long a check takes when few are used often and most hardly ever (Zipf, exponent 1, memory ' +
    'for 100,000); and how long a gate takes from its start to the first request that it let through, beside a process that ' +
    'only imports the same modules.',

  async run(bench) {
    const { plan, crew, progress } = bench
    const newProcess = () =>
      crew.agent<ScaleProcess>(new URL('scale-process.ts', import.meta.url), {
        nodeArguments: ['--expose-gc'],
      })
    const folder = crew.folder('scale')
    const stores: { name: string; tokens: number; url: string; bytes: number; weight: number }[] =
      []
    for (const tokens of plan.storeTokens) {
      progress(`filling SQLite with ${formatCount(tokens)} tokens`)
      const file = join(folder, `${tokens}.db`)
      const process = newProcess()
      await process.call('fillSqlite', { file, tokens }, fillLimitMs)
      const url = `sqlite:${file}`
      const weighed = Math.min(tokens, maxWeighed)
      progress(`weighing ${formatCount(weighed)} of them in memory`)
      const weighing = { databaseUrl: url, tokens: weighed }
      const weight = await process.call('weighCache', weighing, useLimitMs)
      await process.stop()
      const bytes = statSync(file).size
      stores.push({ name: formatCount(tokens), tokens, url, bytes, weight })
    }

    const uses = await inRounds(Math.min(plan.rounds, 3), stores, async (store, round) => {
      const process = newProcess()
      const { url: databaseUrl, tokens } = store
      const setting = { databaseUrl, tokens, cacheEntries, uses: plan.scaleUses, seed: round }
      const used = await process.call('useLikeZipf', setting, useLimitMs)
      await process.stop()
      const p99 = formatDuration(createLatencies(used.latencies).at(99))
      progress(`${store.name} tokens: ${(used.hitRate * 100).toFixed(1)} % from memory, p99 ${p99}`)
      return used
    })
    const use: Table = {
      title: `${formatCount(plan.scaleUses)} checks over SQLite, memory for ${formatCount(cacheEntries)}`,
      columns: [
        'tokens',
        'a token on disk',
        'a token in memory',
        'from memory',
        'p50',
        'p99',
        'p99.9',
      ],
      rows: stores.map(({ name, tokens, bytes, weight }) => {
        const latencies = createLatencies(mergeLatencies(uses, name))
        const hits = spreadOf(figuresOf(uses, name, ({ hitRate }) => hitRate * 100))
        return [
          name,
          formatBytes(bytes / tokens),
          formatBytes(weight),
          `${hits.median.toFixed(1)} %`,
          ...[50, 99, 99.9].map((percentile) => formatDuration(latencies.at(percentile))),
        ]
      }),
    }
    const sizes = await weighServers(bench, newProcess())
    const starts = await measureStarts(bench, stores)
    return { tables: [use, sizes, starts.table], samples: [...uses, ...starts.samples] }
  },
}

async function weighServers(
  { plan, crew, progress }: Bench,
  agent: Agent<ScaleProcess>,
): Promise<Table> {
  const tokens = plan.postgresTokens
  progress(`filling PostgreSQL with ${formatCount(tokens)} tokens`)
  const postgres = await startPostgres()
  crew.atEnd(() => postgres.stop())
  const redis = await startRedis()
  crew.atEnd(() => redis.stop())
  const url = await postgres.createDatabase()
  const bytes = await agent.call('fillPostgres', { url, tokens }, fillLimitMs)
  const inRedis = Math.min(tokens, maxWeighed)
  progress(`weighing ${formatCount(inRedis)} of them in Redis`)
  const weighing = { databaseUrl: url, redisUrl: redis.url, tokens: inRedis }
  const perEntry = await agent.call('weighRedis', weighing, useLimitMs)
  return {
    title: 'Beside memory and SQLite',
    columns: ['where', 'tokens', 'a token'],
    rows: [
      ['PostgreSQL, tables and indexes', formatCount(tokens), formatBytes(bytes / tokens)],
      ['Redis', formatCount(inRedis), formatBytes(perEntry)],
    ],
  }
}

interface Started {
  readonly pid: number
  stop(): Promise<void>
}

/** From the start of a process to the first request that was let through. */
async function measureStarts(
  { plan, crew, progress }: Bench,
  stores: readonly { readonly name: string; readonly url: string }[],
): Promise<{ readonly table: Table; readonly samples: readonly Sample<unknown>[] }> {
  const upstream = crew.agent<HttpUpstreamAgent>(
    new URL('../load/http-upstream.ts', import.meta.url),
  )
  const loader = crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url))
  const httpUpstream = await upstream.call('listen', undefined)
  const imports = 'imports only'
  const starters = [
    { name: imports, run: importOnly },
    ...stores.map(({ name, url }) => ({ name: `gate, ${name} tokens`, run: () => startOn(url) })),
  ]

  async function importOnly(): Promise<Started> {
    const agent = crew.agent<ImportOnly>(new URL('../subjects/import-only.ts', import.meta.url))
    await agent.call('isThere', undefined)
    return agent
  }

  async function startOn(databaseUrl: string): Promise<Started> {
    const gate = await startGate({
      ...{ crew, name: 'start', databaseUrl, httpUpstream, smtpUpstream: httpUpstream },
    })
    const plans = [{ token: bulkToken(0), fromDomain: bulkDomain, bodyBytes: 1_024 }]
    await loader.call('open', { port: gate.ports.http, connections: 1, plans })
    const { counts } = await loader.call('burst', undefined)
    expectOnly(200, counts, 'the first request')
    await loader.call('close', undefined)
    return gate
  }

  const samples = await inRounds(plan.rounds, starters, async ({ name, run }) => {
    const startedAt = performance.now()
    const started = await run()
    const ms = performance.now() - startedAt
    const cpuMs = cpuMicrosOf([started.pid]) / 1_000
    await started.stop()
    progress(`${name}: ${ms.toFixed(0)} ms, ${cpuMs.toFixed(0)} ms of CPU`)
    return { ms, cpuMs }
  })
  const times = (name: string) => figuresOf(samples, name, ({ ms }) => ms)
  const costs = (name: string) => figuresOf(samples, name, ({ cpuMs }) => cpuMs)
  const table = {
    title: 'From the start of the process to the first accepted request',
    columns: ['process', 'time', `× ${imports}`, 'CPU', `× ${imports}`],
    rows: starters.map(({ name }) => [
      name,
      ...[times, costs].flatMap((figures) => [
        formatSpread(spreadOf(figures(name)), 'ms'),
        formatRatio(ratioOf(figures(name), figures(imports))),
      ]),
    ]),
  }
  return { table, samples }
}
