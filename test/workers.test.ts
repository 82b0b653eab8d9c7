import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createLog } from '../src/log.ts'
import { createWorkers, type WorkerProcess } from '../src/workers.ts'

/** The supervision with processes that are ready, end and finish when the test says so. */

interface HeldProcess extends WorkerProcess {
  readonly pid: number
  listen(): void
  fail(): void
  die(): void
  asked: boolean
}

function supervise(count: number) {
  const forked: HeldProcess[] = []
  const pauses: { readonly ms: number; end(): void }[] = []
  const logged: string[] = []
  let now = 0

  function fork(): HeldProcess {
    const ready = Promise.withResolvers<void>()
    const gone = Promise.withResolvers<void>()
    const worker: HeldProcess = {
      pid: forked.length + 1,
      ready: ready.promise,
      gone: gone.promise,
      asked: false,
      listen: ready.resolve,
      fail() {
        ready.reject(new Error('no'))
        gone.resolve()
      },
      die: gone.resolve,
      finish() {
        worker.asked = true
        return gone.promise
      },
    }
    forked.push(worker)
    return worker
  }

  const workers = createWorkers({
    count,
    fork,
    pause(ms) {
      const { promise, resolve } = Promise.withResolvers<void>()
      pauses.push({ ms, end: resolve })
      return promise
    },
    clock: { monotonic: () => now },
    log: createLog('info', { write: (line) => logged.push(JSON.parse(line).event) }),
  })
  const nth = (pid: number): HeldProcess => {
    const worker = forked[pid - 1]
    if (worker === undefined) throw new Error(`no process ${pid}`)
    return worker
  }
  return {
    workers,
    forked,
    pauses,
    logged,
    nth,
    pass: (ms: number) => {
      now += ms
    },
    current: () => workers.current().map(({ pid }) => pid),
    async started() {
      const starting = workers.start()
      await turn()
      for (const worker of forked) worker.listen()
      await starting
    },
  }
}

test('a worker that lived is replaced at once', async () => {
  const { nth, pauses, pass, current, started } = supervise(2)
  await started()
  pass(60_000)
  nth(1).die()
  await turn()
  nth(3).listen()
  await turn()
  expect(current()).toEqual([3, 2])
  expect(pauses).toEqual([])
})

test('one that dies again and again is replaced more slowly each time, and the others are not', async () => {
  const { nth, pauses, pass, forked, started } = supervise(2)
  await started()
  for (let death = 0; death < 10; death++) {
    const last = death === 0 ? nth(1) : nth(forked.length)
    last.die()
    await turn()
    pauses.at(-1)?.end()
    await turn()
    nth(forked.length).listen()
    await turn()
  }
  const longer = [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
  expect(pauses.map(({ ms }) => ms)).toEqual(longer)
  pass(60_000)
  nth(2).die()
  await turn()
  expect(pauses).toHaveLength(longer.length)
  expect(forked).toHaveLength(13)
  // It has lived meanwhile: that is forgiven.
  nth(12).die()
  await turn()
  expect(pauses).toHaveLength(longer.length)
  expect(forked).toHaveLength(14)
})

test('one that cannot start is tried again until it does', async () => {
  const { nth, pauses, current, logged, started } = supervise(1)
  await started()
  nth(1).die()
  await turn()
  nth(2).fail()
  await turn()
  expect(current()).toEqual([])
  pauses.at(-1)?.end()
  await turn()
  nth(3).listen()
  await turn()
  expect(current()).toEqual([3])
  expect(logged).toEqual(['worker_not_started', 'worker_replaced'])
})

test('a restart tells no worker to finish before its successor is there', async () => {
  const { workers, nth, forked, current, started } = supervise(2)
  await started()
  const restarted = workers.restart()
  await turn()
  expect([forked.length, nth(1).asked]).toEqual([3, false])
  nth(3).listen()
  await turn()
  expect([forked.length, nth(1).asked, nth(2).asked]).toEqual([3, true, false])
  nth(1).die()
  await turn()
  nth(4).listen()
  await turn()
  nth(2).die()
  await restarted
  expect(current()).toEqual([3, 4])
  expect(forked).toHaveLength(4)
})

test('a worker that dies while its successor starts is not replaced twice', async () => {
  const { workers, nth, forked, current, started } = supervise(1)
  await started()
  const restarted = workers.restart()
  await turn()
  nth(1).die()
  await turn()
  nth(2).listen()
  await restarted
  await turn()
  expect(current()).toEqual([2])
  expect(forked).toHaveLength(2)
})

test('a worker that dies while another is renewed is replaced once', async () => {
  const { workers, nth, forked, current, pass, started } = supervise(2)
  await started()
  pass(60_000)
  const restarted = workers.restart()
  await turn()
  nth(2).die()
  await turn()
  nth(4).listen()
  nth(3).listen()
  nth(1).die()
  await turn()
  nth(5).listen()
  await turn()
  nth(4).die()
  await restarted
  await turn()
  expect(current()).toEqual([3, 5])
  expect(forked).toHaveLength(5)
})

test('a successor that dies while the old worker still finishes is replaced meanwhile', async () => {
  const { workers, nth, current, pass, started } = supervise(1)
  await started()
  const restarted = workers.restart()
  await turn()
  nth(2).listen()
  await turn()
  pass(60_000)
  nth(2).die()
  await turn()
  nth(3).listen()
  await turn()
  expect(current()).toEqual([3])
  nth(1).die()
  await restarted
})

test('restarts that are asked for during one are one more, which begins after it', async () => {
  const { workers, nth, forked, current, started } = supervise(1)
  await started()
  const first = workers.restart()
  const second = workers.restart()
  const third = workers.restart()
  await turn()
  expect(forked).toHaveLength(2)
  nth(2).listen()
  await turn()
  nth(1).die()
  await first
  await turn()
  nth(3).listen()
  await turn()
  nth(2).die()
  await Promise.all([second, third])
  expect(current()).toEqual([3])
  expect(forked).toHaveLength(3)
})

test('a restart whose new worker cannot start fails, and leaves the old one where it is', async () => {
  const { workers, nth, current, started } = supervise(1)
  await started()
  const restarted = workers.restart()
  await turn()
  nth(2).fail()
  await expect(restarted).rejects.toThrow('no')
  expect(current()).toEqual([1])
  expect(nth(1).asked).toBe(false)
})

test('the end during a restart finishes the old worker and the one that starts, and starts no other', async () => {
  const { workers, nth, forked, started } = supervise(2)
  await started()
  const restarted = workers.restart()
  await turn()
  const closed = workers.close()
  expect(forked.map(({ asked }) => asked)).toEqual([true, true, true])
  nth(3).fail()
  nth(1).die()
  nth(2).die()
  await Promise.all([closed, restarted])
  await turn()
  expect(forked).toHaveLength(3)
})

test('the end while a worker waits to be replaced starts none', async () => {
  const { workers, nth, forked, pauses, started } = supervise(1)
  await started()
  nth(1).die()
  await turn()
  nth(2).fail()
  await turn()
  await workers.close()
  pauses.at(-1)?.end()
  await turn()
  expect(forked).toHaveLength(2)
})
