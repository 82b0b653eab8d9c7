import type { Result, Section } from '../benchmark.ts'
import { formatBytes } from './format.ts'
import { drawBars, drawCurves } from './svg.ts'

/** What a report says, whatever it is written in. */

/** A chart with the name of its file. */
export interface Drawing {
  readonly file: string
  readonly title: string
  readonly svg: string
}

export function drawingsOf({ name, findings }: Section): Drawing[] {
  const draw = (title: string, svg: string) => ({
    file: `${name}-${slugOf(title)}.svg`,
    title,
    svg,
  })
  return [
    ...(findings?.bars ?? []).map((chart) => draw(chart.title, drawBars(chart))),
    ...(findings?.curves ?? []).map((chart) => draw(chart.title, drawCurves(chart))),
  ]
}

function slugOf(title: string): string {
  return title
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
}

/** Less than this of a core is what every system does by itself. */
const noise = 0.1

/** What has to be known before any figure is looked at. */
export function headerOf({ machine, plan, startedAt, seconds, sections }: Result): string[] {
  const spent = sections.reduce((sum, section) => sum + section.seconds, 0)
  const others =
    sections.reduce((sum, section) => sum + section.coresOfOthers * section.seconds, 0) /
    Math.max(1, spent)
  return [
    `${machine.cpu}, ${machine.cores} cores, ${formatBytes(machine.memoryBytes)}; ${machine.system}, ${machine.kernel}.`,
    `Postern ${machine.postern}${machine.commit === undefined ? '' : ` (${machine.commit})`} on Node ${machine.node}.`,
    `Run of ${startedAt.slice(0, 16).replace('T', ' ')} UTC, in the ${plan.name} form: ${counted(plan.rounds, 'round')}, ${counted(Math.ceil(seconds / 60), 'minute')}.`,
    others < noise
      ? 'No other process was busy. What the neighbours of a virtual machine do is not seen.'
      : `The machine was shared: others kept ${others.toFixed(1)} of its ${machine.cores} cores busy on average. ` +
        'Latencies show that, and CPU times somewhat; ratios within a round show it least.',
  ]
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** How busy the machine was when each round began. */
export function loadsOf({ findings }: Section): string[] {
  const loads = new Map(findings?.samples.map(({ round, loadAverage }) => [round, loadAverage]))
  if (loads.size === 0) return []
  const shown = [...loads.values()].map((load) => load.toFixed(1))
  return [`Load average before each round, the benchmark itself included: ${shown.join(', ')}.`]
}

export const howToRead = [
  'Look at the ratios: figures belong to this machine. Subjects are measured in turn, round by round, and each ratio is ' +
    'taken within a round; shown is the median of the rounds, in brackets the lowest and the highest.',
  'CPU time is what the operating system charged to all processes of a subject, divided by the units that it did while it ' +
    'was kept busy. Loader and upstream are processes of their own, and are not in it.',
  'A run in which a single answer was not the expected one fails, and so does one in which not exactly what was accepted ' +
    'has reached the upstream.',
]

export const howToReproduce = [
  'npm run bench:peers              # what Debian and npm have of the others',
  'npm run bench                    # all of it, well under an hour',
  'npm run bench -- http smtp --quick',
]
