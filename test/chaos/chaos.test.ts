import { expect, test } from 'vitest'
import { findViolations, type History, runChaos } from './chaos.ts'

const shortSeconds = 20

test('no gate decides on what was no longer true, whatever is stopped, killed or flushed', async () => {
  const seed = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000)
  const history = await runChaos({ seconds: shortSeconds, seed })
  const count = (status: number) => history.attempts.filter((a) => a.status === status).length
  const summary = `seed ${seed}: ${history.changes.length} changes, ${count(200)} sent, ${count(401)} and ${count(403)} refused`
  console.log(summary)
  expect(findViolations(history, { truthOnly: true }), summary).toEqual([])
  expect(
    history.changes.filter(({ answeredAt }) => Number.isFinite(answeredAt)).length,
  ).toBeGreaterThan(5)
  expect(count(200)).toBeGreaterThan(50)
  expect(count(401) + count(403)).toBeGreaterThan(10)
}, 180_000)

test('what the checker is for, it finds', () => {
  const attempt = { token: 1, gate: 0, startedAt: 100, endedAt: 110, status: 200 }
  const gone = { token: 1, to: 'gone', startedAt: 50, answeredAt: 60, ms: 10, fenced: 0 } as const
  const history = (more: Partial<History>): History => ({
    seed: 0,
    attempts: [attempt],
    changes: [gone],
    faults: [],
    ...more,
  })
  expect(findViolations(history({}))).toHaveLength(1)
  // Not when it began before the deletion had answered, nor when that was never confirmed.
  expect(findViolations(history({ attempts: [{ ...attempt, startedAt: 55 }] }))).toEqual([])
  const unconfirmed = { ...gone, answeredAt: Number.POSITIVE_INFINITY }
  expect(findViolations(history({ changes: [unconfirmed] }))).toEqual([])
  // An outage is never a wrong token, and no outage is none.
  const attempts = [{ ...attempt, status: 503 }]
  expect(findViolations(history({ attempts, changes: [] }))).toHaveLength(1)
  const faults = [{ what: 'x', from: 90, to: 105 }]
  expect(findViolations(history({ attempts, changes: [], faults }))).toEqual([])
  expect(
    findViolations(history({ attempts: [{ ...attempt, status: 401 }], changes: [], faults })),
  ).toHaveLength(1)
})
