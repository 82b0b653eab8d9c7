import { parseArgs } from 'node:util'
import type { Plan } from './plan.ts'

/** What `npm run bench -- …` was asked for. */
export interface Arguments {
  readonly workloads: readonly string[]
  readonly plan: Plan['name']
  readonly rounds: number | undefined
  /** Parts of subjects' names; none means all. */
  readonly subjects: readonly string[]
  readonly jsonFile: string | undefined
  readonly reportFolder: string
  /** A result from before, to be rendered again instead of measured. */
  readonly from: string | undefined
  readonly help: boolean
}

export const usage = `npm run bench -- [workload …] [--quick] [--rounds N] [--subjects NAME,…]
                    [--json FILE] [--report FOLDER] [--from FILE]

  workload           which to run: check, http, smtp, attachment, revocation, fleet, stampede, flood, workers, scale;
                     without any, all of these. instructions runs only when it is named: half an hour under QEMU
  --quick            everything in about five minutes; without it, well under an hour
  --rounds N         how often each subject is measured
  --subjects NAME,…  only subjects with this in their name; floors are always there
  --json FILE        every figure, for other programs
  --report FOLDER    where README.md, index.html and the charts go (data/benchmarks)
  --from FILE        makes the report anew from what --json wrote
`

const maxRounds = 50

/** Throws with a sentence for whoever typed it. `usual` are those of the known workloads that are run when none is named. */
export function parseArguments(
  args: readonly string[],
  known: readonly string[],
  usual = known,
): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      subjects: { type: 'string' },
      json: { type: 'string' },
      report: { type: 'string', default: 'data/benchmarks' },
      from: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const unknown = positionals.filter((name) => !known.includes(name))
  if (unknown.length > 0) {
    throw new Error(`no workload is called ${unknown.join(' or ')}; there are ${known.join(', ')}`)
  }
  return {
    workloads:
      positionals.length === 0 ? usual : known.filter((name) => positionals.includes(name)),
    plan: values.quick ? 'quick' : 'full',
    rounds: values.rounds === undefined ? undefined : parseRounds(values.rounds),
    subjects: values.subjects?.split(',').filter(Boolean) ?? [],
    jsonFile: values.json,
    reportFolder: values.report,
    from: values.from,
    help: values.help,
  }
}

function parseRounds(text: string): number {
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds >= 1 && rounds <= maxRounds) return rounds
  throw new Error(`--rounds is a whole number from 1 to ${maxRounds}, and not ${text}`)
}
