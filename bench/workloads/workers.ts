import { availableParallelism } from 'node:os'
import { expectOnly, expectSame } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import { figuresOf, inRounds } from '../measure/rounds.ts'
import { measureSaturation, warmUp } from '../measure/saturation.ts'
import { ratioOf, spreadOf } from '../measure/statistics.ts'
import { warmUpOf } from '../plan.ts'
import { formatRatio, formatSpread } from '../report/format.ts'
import { createFixture } from '../subjects/fixture.ts'
import { createFleetStarter } from '../subjects/fleets.ts'
import type { Workload } from '../workload.ts'

const connections = 96

export const workers: Workload = {
  name: 'workers',
  about:
    'postern serve --workers N on PostgreSQL at saturation: requests a second against one worker, and CPU time for each ' +
    'request. The loader and the upstream need cores too: how far the requests can grow is up to the machine, what a request ' +
    'costs is not.',

  async run({ plan, crew, progress }) {
    const fixture = createFixture({ tokens: 500, domains: 20 })
    const startFleet = createFleetStarter(crew)
    const cores = availableParallelism()
    const numbers = [1, 2, 4, 8].filter((number) => number === 1 || number <= Math.max(2, cores))
    const gates: { name: string; number: number; gate: Awaited<ReturnType<typeof startFleet>> }[] =
      []
    for (const number of numbers) {
      const name = `${number} ${number === 1 ? 'worker' : 'workers'}`
      progress(`starting ${name}`)
      const settings = { POSTERN_WORKERS: String(number) }
      gates.push({
        name,
        number,
        gate: await startFleet({ kind: 'PostgreSQL', fixture, settings }),
      })
    }
    const loader = crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url))
    const plans = fixture.senders.map(({ token, domain }) => ({
      ...{ token, fromDomain: domain, bodyBytes: 1_024 },
    }))
    const samples = await inRounds(
      plan.rounds,
      gates,
      async ({ name, number, gate: fleet }, round) => {
        const [gate] = fleet.gates
        if (gate === undefined) throw new Error('there is no gate')
        await loader.call('open', { port: gate.ports.http, connections, plans })
        async function saturate(forMs: number): Promise<number> {
          return expectOnly(200, (await loader.call('saturate', { forMs })).counts, name)
        }
        const { forMs, units } = warmUpOf(plan, round)
        await warmUp(saturate, { forMs, units: units * number })
        await fleet.upstream.call('take', undefined)
        const cost = await measureSaturation([gate.pid], () => saturate(plan.measureMs))
        await loader.call('close', undefined)
        expectSame(cost.units, (await fleet.upstream.call('take', undefined)).requests, name)
        progress(
          `round ${round + 1}/${plan.rounds}  ${name}: ${cost.unitsPerSecond.toFixed(0)} requests a second, ` +
            `${cost.microsPerUnit.toFixed(1)} µs each`,
        )
        return cost
      },
    )
    const one = gates[0]?.name ?? ''
    const rates = (name: string) => figuresOf(samples, name, (cost) => cost.unitsPerSecond)
    const costs = (name: string) => figuresOf(samples, name, (cost) => cost.microsPerUnit)
    return {
      tables: [
        {
          title: `Workers, on ${cores} cores with the loader and the upstream`,
          columns: ['workers', 'requests a second', '× 1 worker', 'CPU for each', '× 1 worker'],
          rows: gates.map(({ name }) => [
            name,
            formatSpread(spreadOf(rates(name)), 'a second'),
            formatRatio(ratioOf(rates(name), rates(one))),
            formatSpread(spreadOf(costs(name)), 'µs'),
            formatRatio(ratioOf(costs(name), costs(one))),
          ]),
        },
      ],
      samples,
    }
  },
}
