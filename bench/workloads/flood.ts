import { mintToken } from '../../src/core/token.ts'
import { type Counts, expectOnly, expectSame, totalOf, WrongAnswers } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import { smallestBodyBytes } from '../load/http-request.ts'
import { createLatencies } from '../measure/latency.ts'
import { figuresOf, inRounds } from '../measure/rounds.ts'
import { measureSaturation } from '../measure/saturation.ts'
import { spreadOf } from '../measure/statistics.ts'
import { forgetPeakMemory, peakMemoryOf } from '../processes/cpu.ts'
import { formatBytes, formatDuration, formatSpread, threeDigits } from '../report/format.ts'
import { createFixture, tokenPrefix } from '../subjects/fixture.ts'
import { lineUp } from '../subjects/line-up.ts'
import { nginxLua } from '../subjects/peers.ts'
import { posternHttpLimited, posternHttpUnlimited } from '../subjects/postern.ts'
import { createSeededBytes } from '../subjects/seeded.ts'
import type { Workload } from '../workload.ts'
import { mergeLatencies } from './compare.ts'

/** More than a gate remembers of what is unknown, so that each is looked up again. */
const strangers = 15_000
const floodConnections = 32
/** As fast as this the flood comes, whatever becomes of it. */
const floodFactor = 3

const alone = 'alone'
const steady = 'beside a steady flood'
const fullSpeed = 'beside a flood at full speed'
const company = [alone, steady, fullSpeed] as const

const subjects = [posternHttpLimited, posternHttpUnlimited, nginxLua]

export const flood: Workload = {
  name: 'flood',
  about:
    'Good traffic at a steady rate, alone and beside a flood of well-formed tokens that nobody has, from the same address: ' +
    'three times as many, and as many as the subject will answer. All of the good is to be accepted and none of the flood; ' +
    'measured is what the good traffic feels of it, what a refusal costs, and memory.',

  subjects,

  async run(bench) {
    const { plan, crew, progress } = bench
    const fixture = createFixture({ tokens: plan.senders, domains: plan.senders / 10 })
    const line = await lineUp(bench, fixture, subjects)
    const bytes = createSeededBytes(7)
    const unknown = Array.from({ length: strangers }, () => ({
      token: mintToken(tokenPrefix, bytes),
      fromDomain: fixture.senders[0]?.domain ?? '',
      bodyBytes: smallestBodyBytes,
    }))
    const known = fixture.senders.map(({ token, domain }) => ({
      ...{ token, fromDomain: domain, bodyBytes: 1_024 },
    }))
    const [good, bad] = [0, 1].map(() =>
      crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url)),
    )
    if (good === undefined || bad === undefined) throw new Error('there are no loaders')
    const perSecond = plan.httpPerSecond / 2
    const forMs = plan.latencyMs

    const runs = line.contenders.flatMap((contender) =>
      // A gate that limits failures keeps no pace with a steady flood.
      (contender.subject === posternHttpLimited ? ([alone, fullSpeed] as const) : company).map(
        (beside) => ({ name: `${contender.name}, ${beside}`, contender, beside }),
      ),
    )
    const samples = await inRounds(
      plan.rounds,
      runs,
      async ({ name, contender, beside }, round) => {
        const { port, pids } = contender
        await good.call('open', { port, connections: 32, plans: known })
        await good.call('saturate', { forMs: plan.warmMs })
        await bad.call('open', { port, connections: floodConnections, plans: unknown })
        // What refuses is to be compiled too.
        if (beside !== alone) await bad.call('saturate', { forMs: plan.warmMs })
        await line.httpUpstream.call('take', undefined)
        forgetPeakMemory(pids)
        const steadily = { perSecond: perSecond * floodFactor, forMs, isPunctual: false }
        const floods = {
          [alone]: () => undefined,
          [steady]: () => bad.call('openLoop', steadily),
          [fullSpeed]: () => bad.call('saturate', { forMs }),
        }
        const [{ counts, latencies }, refused] = await Promise.all([
          good.call('openLoop', { perSecond, forMs }),
          floods[beside](),
        ])
        const accepted = expectOnly(200, counts, name)
        expectSame(accepted, (await line.httpUpstream.call('take', undefined)).requests, name)
        const refusals = refused && expectRefusals(refused.counts, name)
        const refusal =
          beside === steady
            ? await measureSaturation(pids, async () => {
                const all = await bad.call('saturate', { forMs: plan.measureMs / 2 })
                return expectRefusals(all.counts, name)
              })
            : undefined
        await good.call('close', undefined)
        await bad.call('close', undefined)
        const p99 = formatDuration(createLatencies(latencies).at(99))
        progress(`round ${round + 1}/${plan.rounds}  ${name}: p99 of the good ${p99}`)
        const microsPerRefusal = refusal?.microsPerUnit ?? Number.NaN
        const refusalsPerSecond = ((refusals ?? Number.NaN) * 1_000) / forMs
        return { latencies, peakBytes: peakMemoryOf(pids), microsPerRefusal, refusalsPerSecond }
      },
    )
    return {
      ...line.notes,
      samples,
      tables: [
        {
          title: `Good traffic at ${perSecond} a second, a steady flood of ${perSecond * floodFactor} a second`,
          columns: [
            'subject',
            'good p50',
            'good p99',
            'refusals a second',
            'CPU of a refusal',
            'peak memory',
          ],
          rows: runs.map(({ name }) => {
            const latencies = createLatencies(mergeLatencies(samples, name))
            const rates = figuresOf(samples, name, (sample) => sample.refusalsPerSecond)
            const refusals = figuresOf(samples, name, (sample) => sample.microsPerRefusal)
            const peaks = figuresOf(samples, name, (sample) => sample.peakBytes)
            return [
              name,
              formatDuration(latencies.at(50)),
              formatDuration(latencies.at(99)),
              threeDigits(spreadOf(rates).median),
              Number.isNaN(refusals[0]) ? '–' : formatSpread(spreadOf(refusals), 'µs'),
              formatBytes(Math.max(...peaks)),
            ]
          }),
        },
      ],
      curves: [
        {
          title: 'Latency of the good traffic',
          series: runs.map(({ name, contender }) => ({
            label: name,
            kind: contender.subject.kind,
            latencies: mergeLatencies(samples, name),
          })),
        },
      ],
    }
  },
}

/** That the token is wrong, or that there were too many such; nothing else, and one at least. */
function expectRefusals(counts: Counts, subject: string): number {
  const { 401: wrong = 0, 429: tooMany = 0 } = counts
  const total = totalOf(counts)
  if (total > 0 && wrong + tooMany === total) return total
  throw new WrongAnswers(`${subject}: expected refusals, and got ${JSON.stringify(counts)}`)
}
