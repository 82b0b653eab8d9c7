import { expect, test } from 'vitest'
import { addCounts, countsOf, createMetrics, renderTogether } from '../src/metrics.ts'

const refused = { allowed: false, reason: 'unknown-token' } as const

async function linesOf(rendered: ReturnType<ReturnType<typeof createMetrics>['render']>) {
  const { body } = await rendered
  return body.split('\n').filter((line) => /^postern_/.test(line) && !/_bucket|_sum/.test(line))
}

test('what was counted is shown by its labels, as often as somebody asks', async () => {
  const metrics = createMetrics()
  metrics.inFlight('http', 1)
  metrics.inFlight('smtp', 1)
  metrics.inFlight('http', -1)
  for (let i = 0; i < 3; i++) metrics.decided('http', 'auth', refused, 1)
  metrics.answered('http', 401, 1)
  metrics.answered('smtp', 250, 1)
  metrics.lookedUp('memory')
  const shown = [
    'postern_decisions_total{outcome="unknown-token",protocol="http",stage="auth"} 3',
    'postern_decision_seconds_count{protocol="http",stage="auth"} 3',
    'postern_answers_total{code="401",protocol="http"} 1',
    'postern_answers_total{code="250",protocol="smtp"} 1',
    'postern_in_flight{protocol="http"} 0',
    'postern_in_flight{protocol="smtp"} 1',
    'postern_lookups_total{tier="memory"} 1',
  ].map(inOrder)
  for (let i = 0; i < 2; i++) {
    expect((await linesOf(metrics.render())).map(inOrder)).toEqual(expect.arrayContaining(shown))
  }
  metrics.lookedUp('memory')
  expect(await linesOf(metrics.render())).toContain('postern_lookups_total{tier="memory"} 2')
})

test('the counts of several processes are one, and those of ended ones stay, but for what tells of now', async () => {
  const [one, other] = [createMetrics(), createMetrics()]
  for (const metrics of [one, other]) {
    metrics.answered('http', 200, 1)
    metrics.inFlight('http', 1)
  }
  const remains = await addCounts([countsOf(await one.snapshot())])
  const lines = (await linesOf(renderTogether([remains, await other.snapshot()]))).map(inOrder)
  expect(lines).toContain(inOrder('postern_answers_total{code="200",protocol="http"} 2'))
  expect(lines).toContain('postern_in_flight{protocol="http"} 1')
})

/** Labels have no order. */
function inOrder(line: string): string {
  return line.replace(/\{(.+)\}/, (_all, labels) => `{${labels.split(',').sort().join(',')}}`)
}
