import { expectOnly } from '../load/counts.ts'
import type { HttpLoader } from '../load/http-loader.ts'
import type { SmtpLoader } from '../load/smtp-loader.ts'
import { figuresOf, inRounds, type Sample } from '../measure/rounds.ts'
import { ratioOf, spreadOf } from '../measure/statistics.ts'
import {
  type CountedNode,
  createCountedNode,
  missingForCounting,
} from '../processes/counted-node.ts'
import { formatRatio, formatSpread, threeDigits } from '../report/format.ts'
import { createFixture, type Fixture } from '../subjects/fixture.ts'
import { httpFloor, smtpRelayFloor } from '../subjects/floors.ts'
import { type Contender, type LineUp, lineUp } from '../subjects/line-up.ts'
import {
  posternHttp,
  posternHttpQuiet,
  posternSmtp,
  posternSmtpQuiet,
} from '../subjects/postern.ts'
import type { Subject } from '../subjects/subject.ts'
import type { BarChart, Bench, Table, Workload } from '../workload.ts'
import { prepare, sessions } from './smtp.ts'

/** Fewer than elsewhere: an assertion is signed for each once in a while, and that comes sooner than so many requests. */
const tokens = 50
const burstMs = 2_000

interface Load {
  readonly title: string
  open(contender: Contender): Promise<unknown>
  close?(): Promise<unknown>
  /** For a while; answers how many units were done. */
  run(contender: Contender, forMs: number): Promise<number>
}

/** The floor first. */
const overHttp = [httpFloor, posternHttp, posternHttpQuiet]
const overSmtp = [smtpRelayFloor, posternSmtp, posternSmtpQuiet]

export const instructions: Workload = {
  name: 'instructions',
  isOnRequest: true,
  about:
    'Instructions for a POST of 1 KB and for a 2 KB message, counted by QEMU, which runs the floor and the gate: a figure that ' +
    'nobody else on the machine changes. The kernel’s are not in it, nor what waiting for memory costs. A process runs at a ' +
    'tenth of its speed or less, and what it does once a second is in it, about a hundredth. Subjects are measured one after the other.',
  subjects: [...overHttp, ...overSmtp],

  async run(bench) {
    const reason = missingForCounting(bench.crew)
    if (reason !== undefined) {
      bench.progress(`nothing is counted: ${reason}`)
      return { samples: [], missing: [{ name: 'QEMU', reason }] }
    }
    const fixture = createFixture({ tokens, domains: tokens / 10 })
    const { warmUnits, units } = bench.plan.counted
    const http = await countEdge(bench, fixture, {
      name: 'http',
      subjects: overHttp,
      loads: [httpLoad(bench, fixture)],
      ...{ warmUnits, units },
    })
    const smtp = await countEdge(bench, fixture, {
      name: 'smtp',
      subjects: overSmtp,
      loads: [10, 1].map((perSession) => smtpLoad(bench, fixture, perSession)),
      // A message takes several times as long as a request, but its code is compiled after as many.
      ...{ warmUnits, units: units / 2 },
    })
    return {
      bars: [...http.bars, ...smtp.bars],
      tables: [...http.tables, ...smtp.tables],
      samples: [...http.samples, ...smtp.samples],
      subjects: [...http.subjects, ...smtp.subjects],
    }
  },
}

function httpLoad({ crew }: Bench, { senders }: Fixture): Load {
  const loader = crew.agent<HttpLoader>(new URL('../load/http-loader.ts', import.meta.url))
  const plans = senders.map(({ token, domain }) => ({
    token,
    fromDomain: domain,
    bodyBytes: 1_024,
  }))
  return {
    title: 'Instructions for each request',
    open: ({ port }) => loader.call('open', { port, connections: 64, plans }),
    close: () => loader.call('close', undefined),
    run: async ({ name }, forMs) =>
      expectOnly(200, (await loader.call('saturate', { forMs })).counts, name),
  }
}

function smtpLoad({ crew }: Bench, { senders }: Fixture, messagesPerSession: number): Load {
  const loader = crew.agent<SmtpLoader>(new URL('../load/smtp-loader.ts', import.meta.url))
  return {
    title: `Instructions for each message, ${messagesPerSession} on a connection`,
    open: (contender) => prepare(loader, contender, senders),
    async run({ name, port }, forMs) {
      const load = { port, sessions, messagesPerSession, forMs }
      return expectOnly(250, (await loader.call('saturate', load)).counts, name)
    },
  }
}

interface Edge {
  readonly name: 'http' | 'smtp'
  /** The floor first. */
  readonly subjects: readonly Subject[]
  readonly loads: readonly Load[]
  readonly warmUnits: number
  readonly units: number
}

async function countEdge(bench: Bench, fixture: Fixture, edge: Edge) {
  const { plan, progress } = bench
  const nodes = new Map<string, CountedNode>()
  const line = await lineUp(
    bench,
    fixture,
    edge.subjects.map((subject) => counted(subject, edge.name, nodes)),
  )
  const found = []
  for (const load of edge.loads) {
    const samples: Sample<number>[] = []
    // Not in turn: after a rest there is much to compile again, and nothing here depends on the hour.
    for (const contender of line.contenders) {
      const node = nodes.get(contender.name)
      if (node === undefined) throw new Error(`${contender.name} is not counted`)
      await load.open(contender)
      await runUnits(contender, load, edge.warmUnits)
      const ofThis = await inRounds(plan.rounds, [contender], async ({ name }, round) => {
        const before = node.instructions()
        const units = await runUnits(contender, load, edge.units)
        const each = (node.instructions() - before) / units
        progress(
          `round ${round + 1}/${plan.rounds}  ${name}: ${threeDigits(each / 1_000)} thousand`,
        )
        return each
      })
      await load.close?.()
      samples.push(...ofThis)
    }
    found.push({
      ...present(load.title, line, samples),
      samples: samples.map((sample) => ({ ...sample, title: load.title })),
    })
  }
  return {
    bars: found.flatMap(({ bars }) => bars),
    tables: found.flatMap(({ tables }) => tables),
    samples: found.flatMap(({ samples }) => samples),
    subjects: line.notes.subjects ?? [],
  }
}

/** The subject, in a Node whose instructions are counted under its name. */
function counted(subject: Subject, edge: string, nodes: Map<string, CountedNode>): Subject {
  return {
    ...subject,
    start(setting) {
      const node = createCountedNode(setting.crew, `counted-${edge}-${nodes.size}`)
      nodes.set(subject.name, node)
      return subject.start({ ...setting, crew: node.crew })
    },
  }
}

async function runUnits(contender: Contender, load: Load, wanted: number): Promise<number> {
  let units = 0
  while (units < wanted) units += await load.run(contender, burstMs)
  return units
}

function present(
  title: string,
  { contenders }: LineUp,
  samples: readonly Sample<number>[],
): { readonly bars: readonly BarChart[]; readonly tables: readonly Table[] } {
  const [floor] = contenders
  if (floor === undefined) throw new Error('nothing was counted')
  const thousandsOf = (name: string) => figuresOf(samples, name, (each) => each / 1_000)
  const rows = contenders.map(({ name, subject: { kind } }) => {
    const figures = thousandsOf(name)
    return {
      name,
      kind,
      spread: spreadOf(figures),
      ratio: ratioOf(figures, thousandsOf(floor.name)),
    }
  })
  return {
    bars: [
      {
        title,
        baseline: floor.name,
        bars: rows.map(({ name, kind, spread, ratio }) => ({
          ...{ label: name, kind, ratio },
          figure: `${threeDigits(spread.median)} thousand`,
        })),
      },
    ],
    tables: [
      {
        title,
        columns: ['subject', 'instructions', `× ${floor.name}`],
        rows: rows.map(({ name, spread, ratio }) => [
          name,
          formatSpread(spread, 'k'),
          formatRatio(ratio),
        ]),
      },
    ],
  }
}
