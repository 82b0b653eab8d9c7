import { createLatencies, curveOf } from '../measure/latency.ts'
import type { BarChart, CurveChart } from '../workload.ts'
import { formatDuration } from './format.ts'

/** Charts as SVG, each readable by itself on a light and on a dark page. */

const width = 760

interface Colours {
  readonly text: string
  readonly muted: string
  readonly line: string
  readonly bars: Readonly<Record<'floor' | 'peer' | 'postern', string>>
  /** Of curves: the first is Postern's, the second the floor's. */
  readonly curves: readonly string[]
}

const light: Colours = {
  text: '#1f2328',
  muted: '#59636e',
  line: '#d1d9e0',
  bars: { floor: '#8c959f', peer: '#8fb5dc', postern: '#1a7f5a' },
  curves: [
    ...['#1a7f5a', '#8c959f', '#0969da', '#bf3989', '#bc4c00', '#8250df'],
    ...['#9a6700', '#218bff', '#57606a', '#cf222e'],
  ],
}
const dark: Colours = {
  text: '#e6edf3',
  muted: '#9198a1',
  line: '#3d444d',
  bars: { floor: '#6e7681', peer: '#4a78a8', postern: '#3fb68b' },
  curves: [
    ...['#3fb68b', '#9198a1', '#4493f8', '#db61a2', '#f0883e', '#ab7df8'],
    ...['#d29922', '#79c0ff', '#c9d1d9', '#ff7b72'],
  ],
}

function rulesOf({ text, muted, line, bars, curves }: Colours): string {
  return [
    `text { fill: ${text} } .muted { fill: ${muted} }`,
    `.axis { stroke: ${line} } .mark { stroke: ${muted} }`,
    ...Object.entries(bars).map(([kind, colour]) => `rect.${kind} { fill: ${colour} }`),
    ...curves.map((colour, i) => `path.c${i} { stroke: ${colour} } text.c${i} { fill: ${colour} }`),
  ].join('\n  ')
}

const style = `
  text { font: 13px system-ui, sans-serif } .muted { font-size: 12px } .strong, .title { font-weight: 600 }
  path { fill: none } .curve { stroke-width: 1.5 } .thick { stroke-width: 3 } .dashed { stroke-dasharray: 7 4 } .dotted { stroke-dasharray: 1 4 }
  .dash-dotted { stroke-dasharray: 9 4 2 4 } .sparse { stroke-dasharray: 2 9 }
  ${rulesOf(light)}
  @media (prefers-color-scheme: dark) {
  ${rulesOf(dark)}
  }`

function wrap(title: string, height: number, body: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeXml(title)}">`,
    `<style>${style}</style>`,
    `<text class="title" x="0" y="16">${escapeXml(title)}</text>`,
    ...body,
    '</svg>',
  ].join('\n')
}

export function escapeXml(text: string): string {
  const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character)
}

const labelWidth = 230
const figureWidth = 170
const rowHeight = 28

/** Ratios as bars, the cheapest first, with a whisker from the lowest round to the highest. */
export function drawBars({ title, baseline, bars }: BarChart): string {
  const sorted = bars.toSorted((a, b) => a.ratio.median - b.ratio.median)
  const most = Math.max(...sorted.map(({ ratio }) => ratio.high), 1)
  const scale = (ratio: number) => labelWidth + (ratio / most) * (width - labelWidth - figureWidth)
  const top = 44
  const height = top + sorted.length * rowHeight + 12
  const rows = sorted.flatMap(({ label, kind, ratio, figure }, i) => {
    const y = top + i * rowHeight
    const middle = y + rowHeight / 2
    // Behind the line at 1, which would run through it.
    const end = Math.max(scale(ratio.median), scale(ratio.high), scale(1)) + 8
    return [
      `<text x="${labelWidth - 8}" y="${middle + 4}" text-anchor="end"${kind === 'postern' ? ' class="strong"' : ''}>${escapeXml(label)}</text>`,
      `<rect class="${kind}" x="${labelWidth}" y="${y + 5}" width="${(scale(ratio.median) - labelWidth).toFixed(1)}" height="${rowHeight - 10}" rx="2"/>`,
      `<path class="mark" d="M${scale(ratio.low).toFixed(1)} ${middle}H${scale(ratio.high).toFixed(1)}"/>`,
      `<text class="${kind === 'postern' ? 'strong' : ''}" x="${end.toFixed(1)}" y="${middle + 4}">${ratio.median.toFixed(2)}×</text>`,
      `<text class="muted" x="${(end + 48).toFixed(1)}" y="${middle + 4}">${escapeXml(figure)}</text>`,
    ]
  })
  return wrap(title, height, [
    `<text class="muted" x="0" y="34">1 = ${escapeXml(baseline)}; shorter is better</text>`,
    `<path class="mark" stroke-dasharray="3 3" d="M${scale(1).toFixed(1)} ${top}V${height - 8}"/>`,
    ...rows,
  ])
}

const plot = { left: 64, right: 40, top: 36, height: 260 }

/** Latency by percentile, both axes logarithmic: each nine is as wide as the one before. */
export function drawCurves({ title, series }: CurveChart): string {
  const curves = series.map(({ label, kind, latencies }) => ({
    label,
    kind,
    points: curveOf(createLatencies(latencies)).map(({ percentile, nanoseconds }) => ({
      nines: -Math.log10(1 - percentile / 100),
      // Nothing takes no time; it is the histogram that cannot tell it from zero.
      nanoseconds: Math.max(1, nanoseconds),
    })),
  }))
  const all = curves.flatMap(({ points }) => points)
  const mostNines = Math.max(1, ...all.map(({ nines }) => nines))
  const lowest = Math.floor(Math.log10(Math.min(...all.map((point) => point.nanoseconds))))
  const highest = Math.ceil(Math.log10(Math.max(...all.map((point) => point.nanoseconds)) * 1.01))
  const x = (nines: number) => plot.left + (nines / mostNines) * (width - plot.left - plot.right)
  const y = (nanoseconds: number) =>
    plot.top +
    plot.height * (1 - (Math.log10(nanoseconds) - lowest) / Math.max(1, highest - lowest))
  const bottom = plot.top + plot.height
  const decades = Array.from({ length: highest - lowest + 1 }, (_, i) => 10 ** (lowest + i))
  const ticks = [0, 50, 90, 99, 99.9, 99.99, 99.999]
    .map((percentile) => ({ percentile, nines: -Math.log10(1 - percentile / 100) }))
    .filter(({ nines }) => nines <= mostNines + 1e-9)
  const columns = 2
  const legendRows = Math.ceil(curves.length / columns)
  const looks = looksOf(series)
  return wrap(title, bottom + 36 + legendRows * 20, [
    ...decades.flatMap((decade) => [
      `<path class="axis" d="M${plot.left} ${y(decade).toFixed(1)}H${width - plot.right}"/>`,
      `<text class="muted" x="${plot.left - 8}" y="${(y(decade) + 4).toFixed(1)}" text-anchor="end">${formatDuration(decade).replace(/\.0+ /, ' ')}</text>`,
    ]),
    ...ticks.map(
      ({ percentile, nines }) =>
        `<text class="muted" x="${x(nines).toFixed(1)}" y="${bottom + 18}" text-anchor="middle">${percentile === 0 ? 'least' : `p${percentile}`}</text>`,
    ),
    ...curves.map(({ points }, i) => {
      const path = points.map(
        (point) => `${x(point.nines).toFixed(1)} ${y(point.nanoseconds).toFixed(1)}`,
      )
      return `<path class="curve ${looks[i]}" d="M${path.join('L')}"/>`
    }),
    ...curves.flatMap(({ label }, i) => {
      const from = plot.left + (i % columns) * 330
      const middle = bottom + 38 + Math.floor(i / columns) * 20
      return [
        `<path class="curve ${looks[i]}" d="M${from} ${middle}h22"/>`,
        `<text x="${from + 30}" y="${middle + 4}">${escapeXml(label)}</text>`,
      ]
    }),
  ])
}

const dashes = ['', ' dashed', ' dotted', ' dash-dotted', ' sparse']

/** Among others Postern is thick and the floor grey, and those of one kind differ by their dashes; by themselves all are told by colour. */
function looksOf(series: CurveChart['series']): string[] {
  const isMixed = new Set(series.map(({ kind }) => kind)).size > 1
  return series.map((curve, i) => {
    if (!isMixed) return `c${i % light.curves.length}`
    const alike = series.filter(({ kind }) => kind === curve.kind).indexOf(curve)
    if (curve.kind === 'peer') return `c${2 + (alike % (light.curves.length - 2))}`
    return `${curve.kind === 'postern' ? 'c0 thick' : 'c1'}${dashes[alike % dashes.length]}`
  })
}
