import { Histogram, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { talliedHistogram } from '../src/tallies.ts'

const config = {
  name: 'seconds',
  help: 'Time.',
  labelNames: ['protocol' as const],
  buckets: [0.001, 0.5, 2],
}

test("a tallied histogram shows what prom-client's own would show", async () => {
  const [own, theirs] = [new Registry(), new Registry()]
  const observerOf = talliedHistogram({ ...config, registers: [own] })
  const plain = new Histogram({ ...config, registers: [theirs] })
  const values = { http: [0, 0.001, 0.0011, 0.5, 3, 100], smtp: [1.5, 2, 2.5] }
  for (const [protocol, seconds] of Object.entries(values)) {
    const observe = observerOf({ protocol })
    for (const value of seconds) {
      observe(value)
      plain.observe({ protocol }, value)
    }
  }
  for (let i = 0; i < 2; i++) {
    expect(await own.metrics()).toBe(await theirs.metrics())
    expect(await theirs.getMetricsAsJSON()).toMatchObject(await own.getMetricsAsJSON())
  }
})
