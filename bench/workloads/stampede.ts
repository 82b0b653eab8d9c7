import { expectOnly, expectSame } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import { createLatencies } from '../measure/latency.ts'
import { figuresOf, inRounds } from '../measure/rounds.ts'
import { spreadOf } from '../measure/statistics.ts'
import { formatDuration, formatSpread } from '../report/format.ts'
import { createFixture, type Sender } from '../subjects/fixture.ts'
import { createFleetStarter } from '../subjects/fleets.ts'
import type { Workload } from '../workload.ts'
import { mergeLatencies } from './compare.ts'

export const stampede: Workload = {
  name: 'stampede',
  about:
    'A crowd of requests at once, each on a connection of its own, for what nobody asked for before: one token that all of ' +
    'them carry, then as many tokens as requests. How often PostgreSQL is asked, and when the last is answered; beside it ' +
    'the same crowd when everything is in memory.',

  async run({ plan, crew, progress }) {
    const { crowd, rounds } = plan
    // Each round needs one token, and a crowd of them, that the gate has never seen.
    const fixture = createFixture({ tokens: rounds * (1 + crowd), domains: 1 })
    progress('starting a gate on PostgreSQL')
    const fleet = await createFleetStarter(crew)({ kind: 'PostgreSQL', fixture })
    const [gate] = fleet.gates
    if (gate === undefined) throw new Error('there is no gate')
    const loader = crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url))

    const crowds = [
      { name: 'one token, never seen', sendersOf: (round: number) => tokensOf(round).slice(0, 1) },
      { name: 'one token, in memory', sendersOf: (round: number) => tokensOf(round).slice(0, 1) },
      { name: 'each its own, never seen', sendersOf: (round: number) => tokensOf(round).slice(1) },
      { name: 'each its own, in memory', sendersOf: (round: number) => tokensOf(round).slice(1) },
    ]
    function tokensOf(round: number): readonly Sender[] {
      return fixture.senders.slice(round * (1 + crowd), (round + 1) * (1 + crowd))
    }

    const samples = await inRounds(rounds, crowds, async ({ name, sendersOf }, round) => {
      const plans = sendersOf(round).map(({ token, domain }) => ({
        ...{ token, fromDomain: domain, bodyBytes: 1_024 },
      }))
      await loader.call('open', { port: gate.ports.http, connections: crowd, plans })
      await fleet.upstream.call('take', undefined)
      const before = await gate.metric('postern_lookups_total', 'tier="store"')
      const { counts, latencies, elapsedMs } = await loader.call('burst', undefined)
      const lookups = (await gate.metric('postern_lookups_total', 'tier="store"')) - before
      await loader.call('close', undefined)
      const taken = expectOnly(200, counts, name)
      expectSame(taken, (await fleet.upstream.call('take', undefined)).requests, name)
      progress(`round ${round + 1}/${rounds}  ${name}: ${lookups} look-ups for ${taken} requests`)
      return { lookups, elapsedMs, latencies }
    })
    return {
      samples,
      tables: [
        {
          title: `${crowd} requests at once`,
          columns: ['crowd', 'look-ups in PostgreSQL', 'p50', 'last answer', 'all answered'],
          rows: crowds.map(({ name }) => {
            const latencies = createLatencies(mergeLatencies(samples, name))
            const lookups = figuresOf(samples, name, (sample) => sample.lookups)
            return [
              name,
              [...new Set(lookups)].toSorted((a, b) => a - b).join(', '),
              formatDuration(latencies.at(50)),
              formatDuration(latencies.at(100)),
              formatSpread(spreadOf(figuresOf(samples, name, (sample) => sample.elapsedMs)), 'ms'),
            ]
          }),
        },
      ],
      notes: ['A credential and its domain are a look-up each.'],
    }
  },
}
