import { expectOnly, expectSame, totalOf, WrongAnswers } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import { createLatencies, type EncodedLatencies } from '../measure/latency.ts'
import { inRounds, type Sample } from '../measure/rounds.ts'
import { measureSaturation, type Saturation, warmUp } from '../measure/saturation.ts'
import { warmUpOf } from '../plan.ts'
import type { Agent } from '../processes/agent.ts'
import { formatDuration } from '../report/format.ts'
import { createFixture, type Fixture } from '../subjects/fixture.ts'
import { httpFloor } from '../subjects/floors.ts'
import { type Contender, type LineUp, lineUp } from '../subjects/line-up.ts'
import { httpPeers } from '../subjects/peers.ts'
import { posternHttp, posternHttpQuiet } from '../subjects/postern.ts'
import type { Workload } from '../workload.ts'
import { compareCosts, mergeLatencies, tabulate } from './compare.ts'

const bodyBytes = 1_024
const connections = 64
const plansOf = ({ senders }: Fixture) =>
  senders.map(({ token, domain }) => ({ token, fromDomain: domain, bodyBytes }))

const subjects = [httpFloor, posternHttp, posternHttpQuiet, ...httpPeers]

export const http: Workload = {
  name: 'http',
  about:
    'POST of a 1 KB message over 64 keep-alive connections, many tokens in turn. CPU time of all processes of a subject ' +
    'by requests done at saturation; latency under the same steady rate for each, counted from when a request was to begin.',
  subjects,

  async run(bench) {
    const { plan, crew, progress } = bench
    const fixture = createFixture({ tokens: plan.senders, domains: plan.senders / 10 })
    const line = await lineUp(bench, fixture, subjects)
    const loader = crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url))
    for (const contender of line.contenders) await expectChecks(contender, line, loader, fixture)

    const samples = await inRounds(plan.rounds, line.contenders, async (contender, round) => {
      const { name, port, pids } = contender
      await loader.call('open', { port, connections, plans: plansOf(fixture) })
      async function saturate(forMs: number): Promise<number> {
        return expectOnly(200, (await loader.call('saturate', { forMs })).counts, name)
      }
      await warmUp(saturate, warmUpOf(plan, round))
      await line.httpUpstream.call('take', undefined)
      const cost = await measureSaturation(pids, () => saturate(plan.measureMs))
      const steady = { perSecond: plan.httpPerSecond, forMs: plan.latencyMs }
      const { counts, latencies } = await loader.call('openLoop', steady)
      const accepted = cost.units + expectOnly(200, counts, name)
      expectSame(accepted, (await line.httpUpstream.call('take', undefined)).requests, name)
      await loader.call('close', undefined)
      progress(
        `round ${round + 1}/${plan.rounds}  ${name}: ${cost.microsPerUnit.toFixed(1)} µs a request, ` +
          `p99 ${formatDuration(createLatencies(latencies).at(99))}`,
      )
      return { ...cost, latencies }
    })
    return present(samples, line, plan.httpPerSecond)
  },
}

/** A subject that says it checks must refuse, and nothing that it refused may reach the upstream. */
export async function expectChecks(
  { name, port, subject: { checks } }: Contender,
  { httpUpstream }: LineUp,
  loader: Agent<HttpLoader>,
  fixture: Fixture,
) {
  async function ask(token: string, fromDomain: string) {
    const plans = [{ token, fromDomain, bodyBytes }]
    await loader.call('open', { port, connections: 1, plans })
    const { counts } = await loader.call('burst', undefined)
    await loader.call('close', undefined)
    return counts
  }
  const [sender] = fixture.senders
  if (sender === undefined) throw new Error('there is nobody to send as')
  await httpUpstream.call('take', undefined)
  const accepted = expectOnly(200, await ask(sender.token, sender.domain), name)
  const refusals = [
    ...(checks.token ? [await ask(fixture.unknownToken, sender.domain)] : []),
    ...(checks.sender ? [await ask(sender.token, fixture.foreignDomain)] : []),
  ]
  for (const counts of refusals) {
    const [status] = Object.keys(counts)
    const isRefusal = totalOf(counts) === 1 && (status === '401' || status === '403')
    if (!isRefusal) {
      throw new WrongAnswers(`${name} should have refused, and answered ${JSON.stringify(counts)}`)
    }
  }
  expectSame(accepted, (await httpUpstream.call('take', undefined)).requests, name)
}

type HttpSample = Sample<Saturation & { readonly latencies: EncodedLatencies }>

function present(samples: readonly HttpSample[], { contenders, notes }: LineUp, rate: number) {
  const started = contenders.map(({ subject }) => subject)
  const { bars, tables } = compareCosts({
    title: 'CPU time for each request',
    unit: 'µs',
    subjects: started,
    samples,
    baselines: [httpFloor.name, 'nginx auth_request', 'nginx + Lua'],
  })
  const latency = {
    title: `Latency at ${rate} requests a second`,
    series: started.map(({ name, kind }) => ({
      label: name,
      kind,
      latencies: mergeLatencies(samples, name),
    })),
  }
  return {
    ...notes,
    bars,
    curves: [latency],
    tables: [...tables, tabulate(latency)],
    samples: samples.map(({ value: { latencies: _, ...value }, ...sample }) => ({
      ...sample,
      value,
    })),
  }
}
