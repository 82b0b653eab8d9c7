import { expectOnly, expectSame } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import type { SmtpLoader } from '../load/smtp-loader.ts'
import type { WorstPauses } from '../measure/pauses.ts'
import { figuresOf, inRounds, type Sample } from '../measure/rounds.ts'
import { measureSaturation, type Saturation } from '../measure/saturation.ts'
import { ratioOf, spreadOf } from '../measure/statistics.ts'
import type { Agent } from '../processes/agent.ts'
import { forgetPeakMemory, peakMemoryOf } from '../processes/cpu.ts'
import { formatBytes, formatRatio, formatSpread, threeDigits } from '../report/format.ts'
import { createFixture, type Fixture } from '../subjects/fixture.ts'
import { httpFloor, smtpRelayFloor } from '../subjects/floors.ts'
import { type Contender, type LineUp, lineUp } from '../subjects/line-up.ts'
import { fastify, nginxLua, nginxProxy } from '../subjects/peers.ts'
import { posternHttpProbed, posternSmtpProbed } from '../subjects/postern.ts'
import type { Subject } from '../subjects/subject.ts'
import type { BarChart, Bench, Table, Workload } from '../workload.ts'
import { prepare, takeArrived } from './smtp.ts'

/** So much is on its way at once, whatever the size: more would measure the loader's memory. */
const bytesInFlight = 40_000_000
const maxConnections = 32

interface Cost extends Saturation {
  readonly microsPerMegabyte: number
  readonly peakBytes: number
  readonly pauses: WorstPauses | undefined
}

const overHttp = [httpFloor, posternHttpProbed, nginxProxy, nginxLua, fastify]
const overSmtp = [smtpRelayFloor, posternSmtpProbed]

export const attachment: Workload = {
  name: 'attachment',
  about:
    'Messages from 1 KB to 20 MB over HTTP and SMTP. CPU time by megabyte carried, the most memory that the processes held ' +
    '(VmHWM), and the longest time in any round that one turn of the event loop took: by the clock, and by what its own thread worked.',
  subjects: [...overHttp, ...overSmtp],

  async run(bench) {
    const fixture = createFixture({ tokens: 20, domains: 4 })
    const line = await lineUp(bench, fixture, [...overHttp, ...overSmtp])
    const http = await measureEach(bench, line, 'HTTP', overHttp, httpLoad(bench, line, fixture))
    const smtp = await measureEach(bench, line, 'SMTP', overSmtp, smtpLoad(bench, line, fixture))
    return {
      ...line.notes,
      bars: [...http.bars, ...smtp.bars],
      tables: [...http.tables, ...smtp.tables],
      samples: [...http.samples, ...smtp.samples],
    }
  },
}

/** Sends messages of one size for a while; answers how many were taken and have arrived. */
type Load = (contender: Contender, bytes: number, forMs: number) => Promise<number>

function httpLoad({ crew }: Bench, { httpUpstream }: LineUp, { senders }: Fixture): Load {
  const loader = crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url))
  return async function load({ name, port }, bytes, forMs) {
    // A few bodies are enough, and of large ones there is no room for more.
    const plans = senders
      .slice(0, 4)
      .map(({ token, domain }) => ({ token, fromDomain: domain, bodyBytes: bytes }))
    await loader.call('open', { port, connections: connectionsFor(bytes), plans })
    await httpUpstream.call('take', undefined)
    const { counts } = await loader.call('saturate', { forMs })
    await loader.call('close', undefined)
    const taken = expectOnly(200, counts, name)
    expectSame(taken, (await httpUpstream.call('take', undefined)).requests, name)
    return taken
  }
}

function smtpLoad({ crew }: Bench, line: LineUp, { senders }: Fixture): Load {
  const loader: Agent<SmtpLoader> = crew.agent(new URL('../load/smtp-loader.ts', import.meta.url))
  return async function load(contender, bytes, forMs) {
    const { name, port } = contender
    await prepare(loader, contender, senders.slice(0, 4), bytes)
    await takeArrived(contender, line)
    const sessions = connectionsFor(bytes)
    const { counts } = await loader.call('saturate', {
      port,
      forMs,
      sessions,
      messagesPerSession: 4,
    })
    const taken = expectOnly(250, counts, name)
    expectSame(taken, await takeArrived(contender, line), name)
    return taken
  }
}

function connectionsFor(bytes: number): number {
  return Math.min(maxConnections, Math.max(2, Math.floor(bytesInFlight / bytes)))
}

async function measureEach(
  { plan, progress }: Bench,
  { contenders }: LineUp,
  protocol: string,
  subjects: readonly Subject[],
  load: Load,
): Promise<{
  readonly bars: readonly BarChart[]
  readonly tables: readonly Table[]
  readonly samples: readonly Sample<unknown>[]
}> {
  const present = contenders.filter(({ subject }) => subjects.includes(subject))
  const costs: (readonly [bytes: number, samples: readonly Sample<Cost>[]])[] = []
  for (const bytes of plan.attachmentBytes) {
    const samples = await inRounds(plan.rounds, present, async (contender, round) => {
      await load(contender, bytes, plan.warmMs)
      forgetPeakMemory(contender.pids)
      await contender.takeWorstPauses?.()
      const cost = await measureSaturation(contender.pids, () =>
        load(contender, bytes, plan.measureMs),
      )
      progress(
        `round ${round + 1}/${plan.rounds}  ${contender.name}, ${formatBytes(bytes)} over ${protocol}: ` +
          `${threeDigits(cost.microsPerUnit / (bytes / 1e6))} µs a megabyte`,
      )
      return {
        ...cost,
        microsPerMegabyte: cost.microsPerUnit / (bytes / 1e6),
        peakBytes: peakMemoryOf(contender.pids),
        pauses: await contender.takeWorstPauses?.(),
      }
    })
    costs.push([bytes, samples])
  }
  const [floor] = present
  const largest = costs.at(-1)
  if (floor === undefined || largest === undefined) return { bars: [], tables: [], samples: [] }
  const tables = costs.map(([bytes, samples]) => ({
    title: `${formatBytes(bytes)} over ${protocol}`,
    columns: [
      'subject',
      'CPU for a megabyte',
      `× ${floor.name}`,
      'peak memory',
      'longest turn',
      'work in a turn',
    ],
    rows: present.map(({ name }) => {
      const perMegabyte = (of: string) => figuresOf(samples, of, (cost) => cost.microsPerMegabyte)
      return [
        name,
        formatSpread(spreadOf(perMegabyte(name)), 'µs'),
        formatRatio(ratioOf(perMegabyte(name), perMegabyte(floor.name))),
        formatBytes(Math.max(...figuresOf(samples, name, ({ peakBytes }) => peakBytes))),
        worstOf(samples, name, 'elapsedMs'),
        worstOf(samples, name, 'workedMs'),
      ]
    }),
  }))
  const [bytes, samples] = largest
  const perMegabyte = (of: string) => figuresOf(samples, of, (cost) => cost.microsPerMegabyte)
  const bars = present.map(({ name, subject: { kind } }) => ({
    label: name,
    kind,
    ratio: ratioOf(perMegabyte(name), perMegabyte(floor.name)),
    figure: `${threeDigits(spreadOf(perMegabyte(name)).median)} µs a megabyte`,
  }))
  const title = `CPU time for a megabyte, ${formatBytes(bytes)} over ${protocol}`
  return {
    bars: [{ title, baseline: floor.name, bars }],
    tables,
    samples: costs.flatMap(([size, ofSize]) => ofSize.map((sample) => ({ ...sample, size }))),
  }
}

function worstOf(samples: readonly Sample<Cost>[], subject: string, which: keyof WorstPauses) {
  const worst = Math.max(
    ...figuresOf(samples, subject, ({ pauses }) => pauses?.[which] ?? Number.NaN),
  )
  return Number.isNaN(worst) ? '–' : `${threeDigits(worst)} ms`
}
