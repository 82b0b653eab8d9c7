import { setTimeout as delay } from 'node:timers/promises'
import { type Counts, count, WrongAnswers } from '../load/counts.ts'
import { type HttpConnection, openHttpConnection } from '../load/http-connection.ts'
import { smallestBodyBytes, writeHttpRequest } from '../load/http-request.ts'
import { createLatencies } from '../measure/latency.ts'
import { inRounds } from '../measure/rounds.ts'
import { formatDuration } from '../report/format.ts'
import { createFixture, type Sender } from '../subjects/fixture.ts'
import { createFleetStarter, type Fleet, type FleetKind } from '../subjects/fleets.ts'
import type { Workload } from '../workload.ts'
import { mergeLatencies } from './compare.ts'

const nodes = 3
/** How often each node is asked: as often as it answers would measure a machine that does nothing else. */
const probeEveryMs = 2
/** After so many the workload gives up on a node: beyond the time that a silent one is waited out for. */
const maxProbes = 8_000

interface Watched {
  /** From the call to its answer. */
  readonly answeredMs: number
  /** From the call to the first request that each node refused. */
  readonly refusedMs: readonly number[]
}

export const revocation: Workload = {
  name: 'revocation',
  about:
    'A token is deleted over the management API while every node is asked with it every two milliseconds. Measured: from the call to ' +
    'its answer, and from the call until each node refuses. A request that was begun after the answer and was let through ' +
    'fails the run.',

  async run(bench) {
    const { plan, crew, progress } = bench
    const startFleet = createFleetStarter(crew)
    const fixture = createFixture({ tokens: plan.rounds * plan.changes, domains: 1 })
    const kinds = ['SQLite', 'PostgreSQL', 'PostgreSQL and Redis'] as const
    const fleets = await Promise.all(
      kinds.map(async (kind) => {
        progress(`starting ${nodesOf(kind)} on ${kind}`)
        const fleet = await startFleet({ kind, fixture, nodes: kind === 'SQLite' ? 1 : nodes })
        return { name: nodesOf(kind), fleet }
      }),
    )
    const samples = await inRounds(plan.rounds, fleets, async ({ name, fleet }, round) => {
      const answered = createLatencies()
      const refused = createLatencies()
      for (let i = 0; i < plan.changes; i++) {
        const index = round * plan.changes + i
        const sender = fixture.senders[index] as Sender
        const watched = await revokeAndWatch(fleet, sender, index, fixture.adminToken)
        answered.record(watched.answeredMs * 1e6)
        refused.record(Math.max(...watched.refusedMs) * 1e6)
      }
      progress(
        `round ${round + 1}/${plan.rounds}  ${name}: answered p50 ${formatDuration(answered.at(50))}, ` +
          `refused by all p50 ${formatDuration(refused.at(50))}`,
      )
      return {
        answered: { latencies: answered.encode() },
        refused: { latencies: refused.encode() },
      }
    })
    const merged = (name: string, what: 'answered' | 'refused') =>
      mergeLatencies(
        samples.map((sample) => ({ ...sample, value: sample.value[what] })),
        name,
      )
    return {
      samples,
      tables: [
        {
          title: 'Deletion of a token under traffic',
          columns: ['fleet', 'what', 'p50', 'p90', 'p99', 'longest', 'deletions'],
          rows: fleets.flatMap(({ name }) =>
            (['answered', 'refused'] as const).map((what) => {
              const latencies = createLatencies(merged(name, what))
              return [
                name,
                what === 'answered' ? 'DELETE answered' : 'refused by every node',
                ...[50, 90, 99, 100].map((percentile) => formatDuration(latencies.at(percentile))),
                String(latencies.count),
              ]
            }),
          ),
        },
      ],
      curves: [
        {
          title: 'From the call of DELETE to its answer',
          series: fleets.map(({ name }) => ({
            label: name,
            kind: 'postern' as const,
            latencies: merged(name, 'answered'),
          })),
        },
      ],
    }
  },
}

function nodesOf(kind: FleetKind): string {
  return kind === 'SQLite' ? `1 node, ${kind}` : `${nodes} nodes, ${kind}`
}

async function revokeAndWatch(
  { gates, accountId, ids }: Fleet,
  sender: Sender,
  index: number,
  adminToken: string,
): Promise<Watched> {
  let calledAt = Number.POSITIVE_INFINITY
  let answeredAt = Number.POSITIVE_INFINITY
  const request = writeHttpRequest({
    token: sender.token,
    fromDomain: sender.domain,
    bodyBytes: smallestBodyBytes,
  })
  const watches = await Promise.all(gates.map(({ ports }) => watchNode(ports.http)))

  /** Asks one node until the change has answered and the node refuses. */
  async function watchNode(port: number) {
    const ask = await openAsker(port)
    const counts: Counts = {}
    if ((await ask.send(request)) !== 200) throw new WrongAnswers('a live token was refused')
    return async function untilRefused(): Promise<number> {
      let firstRefusedAt = Number.POSITIVE_INFINITY
      for (let probe = 0; probe < maxProbes; probe++) {
        const sentAt = performance.now()
        const status = await ask.send(request)
        count(counts, status)
        if (status === 401) firstRefusedAt = Math.min(firstRefusedAt, sentAt)
        else if (status !== 200 || sentAt > answeredAt || firstRefusedAt < sentAt) {
          throw new WrongAnswers(`a deleted token was answered with ${status}`)
        }
        if (answeredAt < sentAt && firstRefusedAt <= sentAt) {
          ask.close()
          return firstRefusedAt - calledAt
        }
        await delay(probeEveryMs)
      }
      throw new WrongAnswers(`a node went on: ${JSON.stringify(counts)}`)
    }
  }

  async function callDelete(): Promise<number> {
    const path = `/api/accounts/${accountId}/api_tokens/${ids[index]}`
    calledAt = performance.now()
    const answer = await fetch(`http://127.0.0.1:${gates[0]?.ports.admin}${path}`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${adminToken}` },
    })
    answeredAt = performance.now()
    await answer.arrayBuffer()
    if (answer.status !== 204) throw new WrongAnswers(`DELETE was answered with ${answer.status}`)
    return answeredAt - calledAt
  }

  const refusals = watches.map((untilRefused) => untilRefused())
  const [answeredMs, ...refusedMs] = await Promise.all([callDelete(), ...refusals])
  return { answeredMs, refusedMs }
}

/** One connection, one request at a time. */
async function openAsker(port: number) {
  let answered = (_status: number) => {}
  const connection: HttpConnection = await openHttpConnection(port, (status) => answered(status))
  return {
    send(request: Buffer): Promise<number> {
      return new Promise((resolve) => {
        answered = resolve
        connection.send(request)
      })
    },
    close: () => connection.destroy(),
  }
}
