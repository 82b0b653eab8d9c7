import { createLatencies } from '../measure/latency.ts'
import { createPace, rest } from '../measure/pace.ts'
import { serveAgent } from '../processes/agent.ts'
import { type Counts, count } from './counts.ts'
import { type HttpConnection, noAnswer, openHttpConnection } from './http-connection.ts'
import { type HttpRequestPlan, writeHttpRequest } from './http-request.ts'

/** The HTTP client as a process: it saturates a subject, or sends at a steady rate whatever the subject does. */

interface Work {
  onAnswer(status: number, connection: HttpConnection): void
}

/** Requests that nobody answered within this are given up, so that a run that hangs fails. */
const drainLimitMs = 20_000

let connections: HttpConnection[] = []
let requests: Buffer[] = []
let next = 0
let work: Work | undefined

function takeRequest(): Buffer {
  const request = requests[next % requests.length]
  if (request === undefined) throw new Error('there is nothing to send')
  next += 1
  return request
}

const calls = {
  /** Opens the connections on which everything is then sent. */
  async open({
    port,
    connections: wanted,
    plans,
  }: {
    readonly port: number
    readonly connections: number
    readonly plans: readonly HttpRequestPlan[]
  }) {
    calls.close()
    requests = plans.map(writeHttpRequest)
    connections = await Promise.all(
      Array.from({ length: wanted }, () =>
        openHttpConnection(port, (status, connection) => work?.onAnswer(status, connection)),
      ),
    )
  },

  /** Each connection asks again as soon as it was answered. */
  async saturate({ forMs }: { readonly forMs: number }) {
    const counts: Counts = {}
    const startedAt = performance.now()
    await drained((done) => ({
      onAnswer(status, connection) {
        count(counts, status)
        if (status === noAnswer || performance.now() - startedAt >= forMs) done()
        else connection.send(takeRequest())
      },
    }))
    return { counts, elapsedMs: performance.now() - startedAt }
  },

  /** Everything at once, once on each connection: a crowd before a closed door. */
  async burst() {
    const counts: Counts = {}
    const latencies = createLatencies()
    const startedAt = performance.now()
    await drained((done) => ({
      onAnswer(status) {
        latencies.record((performance.now() - startedAt) * 1e6)
        count(counts, status)
        done()
      },
    }))
    return { counts, latencies: latencies.encode(), elapsedMs: performance.now() - startedAt }
  },

  /** At a steady rate, whatever the subject does; latency counts from when each was to begin. */
  async openLoop({
    perSecond,
    forMs,
    isPunctual,
  }: {
    readonly perSecond: number
    readonly forMs: number
    /** Left out: yes. Who is not takes less of the machine, and its latencies say nothing. */
    readonly isPunctual?: boolean
  }) {
    const counts: Counts = {}
    const latencies = createLatencies()
    const idle = [...connections]
    const late: number[] = []
    const begun = new Map<HttpConnection, number>()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const startsAt = performance.now() + 5
    const pace = createPace({ startsAt, perSecond, forMs })
    const giveUpAt = startsAt + forMs + drainLimitMs

    function begin(connection: HttpConnection, intended: number) {
      begun.set(connection, intended)
      connection.send(takeRequest())
    }

    work = {
      onAnswer(status, connection) {
        count(counts, status)
        latencies.record((performance.now() - (begun.get(connection) ?? 0)) * 1e6)
        begun.delete(connection)
        if (status === noAnswer) return
        const intended = late.shift()
        if (intended === undefined) idle.push(connection)
        else begin(connection, intended)
      },
    }

    function turn() {
      const now = performance.now()
      for (let due = pace.takeDue(now); due !== undefined; due = pace.takeDue(now)) {
        const connection = idle.pop()
        if (connection === undefined) late.push(due)
        else begin(connection, due)
      }
      if (pace.isOver() && begun.size === 0 && late.length === 0) resolve()
      else if (now > giveUpAt) reject(new Error(`${begun.size} requests were never answered`))
      else rest(pace, turn, isPunctual)
    }
    turn()
    await promise
    return { counts, latencies: latencies.encode() }
  },

  close() {
    work = undefined
    for (const connection of connections) connection.destroy()
    connections = []
  },
}
export type HttpLoader = typeof calls

/** Sends one request on every connection, and resolves when `done` was called once for each of them. */
async function drained(createWork: (done: () => void) => Work) {
  const { promise, resolve } = Promise.withResolvers<void>()
  let open = connections.length
  work = createWork(() => {
    open -= 1
    if (open === 0) resolve()
  })
  for (const connection of connections) connection.send(takeRequest())
  await promise
}

serveAgent(calls)
