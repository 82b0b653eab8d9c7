import cluster from 'node:cluster'
import { expect, test } from 'vitest'
import { troubleOf } from '../src/primary.ts'
import { superviseWorker } from '../src/worker-process.ts'

const hangs = new Promise<undefined>(() => {})
const able = Promise.resolve({ trouble: null })

test('a probe does not wait for a worker that hangs when another can decide', async () => {
  expect(await troubleOf([hangs, able])).toBe(undefined)
})

test('one worker that can decide is enough, whatever the others say', async () => {
  const others = [Promise.resolve({ trouble: 'no lease' }), Promise.resolve(undefined)]
  expect(await troubleOf([...others, able])).toBe(undefined)
})

test('without one that can decide, a worker says why', async () => {
  const silent = Promise.resolve(undefined)
  expect(await troubleOf([silent, Promise.resolve({ trouble: 'no lease' })])).toBe('no lease')
  expect(await troubleOf([silent])).toBe('no worker answers')
  expect(await troubleOf([])).toBe('no worker answers')
})

test('a process that cannot be made is a worker that did not start, and no fault of the primary', async () => {
  const { execPath } = process
  process.execPath = '/nowhere/node'
  const worker = superviseWorker(cluster.fork(), { finishTimeoutMs: 1_000 })
  process.execPath = execPath
  await expect(worker.ready).rejects.toThrow('ENOENT')
  await worker.gone
  await worker.finish()
})
