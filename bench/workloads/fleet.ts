import { systemClock } from '../../src/clock.ts'
import { createConfirmation } from '../../src/fleet/confirmation.ts'
import { createLog } from '../../src/log.ts'
import { createRevoke } from '../../src/service/revoke.ts'
import { openStore } from '../../src/store/store.ts'
import { startPostgres } from '../../test/helpers/postgres.ts'
import { WrongAnswers } from '../load/counts.ts'
import { createLatencies, type EncodedLatencies } from '../measure/latency.ts'
import { inRounds } from '../measure/rounds.ts'
import { formatDuration } from '../report/format.ts'
import { createFixture, fillStore, type Sender } from '../subjects/fixture.ts'
import type { Workload } from '../workload.ts'
import { mergeLatencies } from './compare.ts'
import type { FleetProcess } from './fleet-process.ts'

const leaseMs = 10_000
/** Nodes of one process take turns: with more of them in it the process is what is measured. */
const nodesOfProcess = 64
/** Beside the one of each node, on which it listens. */
const otherConnections = 40

export const fleet: Workload = {
  name: 'fleet',
  about:
    'Nodes against the time that a deletion takes to answer: it waits until every node has applied it. The nodes are real in ' +
    'everything but their edges (lease, log, acknowledgement, on PostgreSQL), many of them in one process, so that there can ' +
    'be more than the machine could hold as gates. After each deletion all of them are asked, and all must refuse.',

  async run({ plan, crew, progress }) {
    const fixture = createFixture({
      tokens: plan.rounds * plan.changes * plan.fleetNodes.length,
      domains: 1,
    })
    progress('starting PostgreSQL')
    const postgres = await startPostgres({
      maxConnections: Math.max(...plan.fleetNodes) + otherConnections,
    })
    crew.atEnd(() => postgres.stop())
    const databaseUrl = await postgres.createDatabase()
    const { ids } = await fillStore(databaseUrl, fixture)
    const store = await openStore(databaseUrl)
    crew.atEnd(() => store.close())
    const log = createLog('silent')
    const { confirm } = createConfirmation({
      ...{ registry: store, clock: systemClock, log, holdMs: leaseMs },
      announce() {},
    })
    const { deleteToken } = createRevoke({ registry: store, confirm, clock: systemClock })
    let used = 0

    const sizes = plan.fleetNodes.map((nodes) => ({
      name: nodes === 1 ? '1 node' : `${nodes} nodes`,
      nodes,
    }))
    const samples = await inRounds(plan.rounds, sizes, async ({ name, nodes }, round) => {
      const processes = Array.from({ length: Math.ceil(nodes / nodesOfProcess) }, () =>
        crew.agent<FleetProcess>(new URL('fleet-process.ts', import.meta.url)),
      )
      for (const [i, process] of processes.entries()) {
        await process.call('open', { databaseUrl })
        const share = Math.min(nodesOfProcess, nodes - i * nodesOfProcess)
        await process.call('join', { nodes: share, leaseMs })
      }
      async function expectAll(sender: Sender, outcome: string) {
        const said = await Promise.all(processes.map((process) => process.call('ask', sender)))
        const right = said.reduce((sum, each) => sum + (each[outcome] ?? 0), 0)
        if (right !== nodes) {
          throw new WrongAnswers(`${name}: not all said ${outcome}: ${JSON.stringify(said)}`)
        }
      }
      const latencies = createLatencies()
      for (let i = 0; i < plan.changes; i++, used++) {
        const sender = fixture.senders[used] as Sender
        await expectAll(sender, 'allowed')
        const startedAt = performance.now()
        const outcome = await deleteToken(ids[used] ?? 0, { name: 'bench', origin: 'cli' })
        latencies.record((performance.now() - startedAt) * 1e6)
        const receipt = outcome.done ? outcome.receipt : undefined
        if (receipt?.propagation !== 'confirmed' || receipt.confirmed !== nodes) {
          throw new WrongAnswers(`${name}: the deletion says ${JSON.stringify(outcome)}`)
        }
        await expectAll(sender, 'unknown-token')
      }
      for (const process of processes) {
        await process.call('leave', undefined)
        await process.stop()
      }
      const p50 = formatDuration(latencies.at(50))
      progress(`round ${round + 1}/${plan.rounds}  ${name}: a deletion answers after ${p50}`)
      return { latencies: latencies.encode() as EncodedLatencies }
    })
    return {
      samples,
      tables: [
        {
          title: 'Nodes against the time of a deletion',
          columns: ['nodes', 'p50', 'p90', 'longest', 'deletions'],
          rows: sizes.map(({ name }) => {
            const latencies = createLatencies(mergeLatencies(samples, name))
            const percentiles = [50, 90, 100].map((at) => formatDuration(latencies.at(at)))
            return [name, ...percentiles, String(latencies.count)]
          }),
        },
      ],
      curves: [
        {
          title: 'From the change to its answer',
          series: sizes.map(({ name }) => ({
            label: name,
            kind: 'postern' as const,
            latencies: mergeLatencies(samples, name),
          })),
        },
      ],
    }
  },
}
