import { expect, test } from 'vitest'
import type { Result } from '../../bench/benchmark.ts'
import { createLatencies } from '../../bench/measure/latency.ts'
import { plans } from '../../bench/plan.ts'
import { drawingsOf } from '../../bench/report/content.ts'
import { threeDigits } from '../../bench/report/format.ts'
import { renderHtml } from '../../bench/report/html.ts'
import { renderMarkdown } from '../../bench/report/markdown.ts'
import { drawCurves } from '../../bench/report/svg.ts'

function resultWith(coresOfOthers = 0): Result {
  const latencies = createLatencies()
  for (let i = 1; i <= 1_000; i++) latencies.record(i * 1_000)
  const section = { about: 'What it is.', seconds: 10, coresOfOthers }
  const ratio = { median: 2, low: 1.5, high: 2.5 }
  return {
    startedAt: '2026-11-25T10:00:00.000Z',
    seconds: 20,
    plan: plans.quick,
    machine: {
      ...{ cpu: 'A & B', cores: 2, memoryBytes: 8e9, kernel: 'Linux 6', system: 'Debian' },
      ...{ node: 'v26.0.0', postern: '0.1.0', commit: 'abcdef+' },
    },
    sections: [
      {
        ...section,
        name: 'http',
        findings: {
          bars: [
            {
              title: 'CPU time',
              baseline: 'the <floor>',
              bars: [{ label: 'Postern', kind: 'postern', ratio, figure: '80 µs' }],
            },
          ],
          curves: [
            {
              title: 'Latency',
              series: [{ label: 'Postern', kind: 'postern', latencies: latencies.encode() }],
            },
          ],
          tables: [{ title: 'Costs', columns: ['subject', 'CPU'], rows: [['a | b', '80 µs']] }],
          samples: [0, 1].map((round) => ({
            ...{ subject: 'Postern', round, loadAverage: 2.5 + round, value: {} },
          })),
          missing: [{ name: 'Caddy', reason: 'caddy not found' }],
        },
      },
      { ...section, name: 'smtp', failure: 'x: expected 250 and nothing else' },
    ],
  }
}

test('a peer that was not there and a workload that failed are said, in both pages', () => {
  for (const page of [renderMarkdown(resultWith()), renderHtml(resultWith())]) {
    expect(page).toContain('Not there: Caddy (caddy not found).')
    expect(page).toMatch(/Failed:(\*\*)? x: expected 250 and nothing else/)
  }
})

test('a shared machine is said before any figure', () => {
  expect(renderMarkdown(resultWith(0.7))).toContain('others kept 0.7 of its 2 cores busy')
  expect(renderMarkdown(resultWith(0))).toContain('No other process was busy.')
  expect(renderMarkdown(resultWith(0))).toContain(
    'Load average before each round, the benchmark itself included: 2.5, 3.5.',
  )
})

test('the page needs nothing beside it, and what it shows is escaped', () => {
  const page = renderHtml(resultWith())
  const beside = [...page.matchAll(/(?:src|href|url)\s*[=(]/g)]
  expect(beside).toEqual([])
  expect(page).toContain('the &lt;floor&gt;')
  expect(page).toContain('A &amp; B')
  expect(page).not.toContain('<floor>')
})

test('a cell with a bar does not break its table in Markdown', () => {
  expect(renderMarkdown(resultWith())).toContain('| a \\| b | 80 µs |')
})

test('charts are readable on light and on dark pages, and hold no number that is none', () => {
  const [section] = resultWith().sections
  const drawings = section === undefined ? [] : drawingsOf(section)
  expect(drawings.map(({ file }) => file)).toEqual(['http-cpu-time.svg', 'http-latency.svg'])
  for (const { svg } of drawings) {
    expect(svg).toContain('prefers-color-scheme: dark')
    expect(svg).not.toMatch(/NaN|Infinity|undefined/)
  }
})

test('no two curves of a chart look alike, whoever is there', () => {
  const latencies = createLatencies().encode()
  const line = (kind: 'floor' | 'postern' | 'peer', i: number) => ({
    ...{ label: `${kind} ${i}`, kind, latencies },
  })
  const floors = [0, 1, 2].map((i) => line('floor', i))
  const gates = [0, 1, 2, 3, 4].map((i) => line('postern', i))
  const peers = [0, 1, 2, 3].map((i) => line('peer', i))
  for (const series of [gates, [...floors, ...gates], [...floors, ...gates, ...peers]]) {
    const svg = drawCurves({ title: 'x', series })
    const looks = [...svg.matchAll(/<path class="curve ([^"]+)" d="M\d+ \d+h22"/g)]
    expect(new Set(looks.map(([, look]) => look)).size).toBe(series.length)
  }
})

test('three digits are shown, whatever the size', () => {
  expect([0, 0.01234, 1.234, 12.34, 123.4, 1_234, 99.96].map(threeDigits)).toEqual([
    ...['0', '0.012', '1.23', '12.3', '123', '1230', '100'],
  ])
  expect(threeDigits(Number.NaN)).toBe('–')
})
