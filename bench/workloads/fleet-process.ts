import { systemClock } from '../../src/clock.ts'
import { createDatabaseClock } from '../../src/fleet/database-clock.ts'
import { createLog } from '../../src/log.ts'
import { joinFleet } from '../../src/membership.ts'
import { systemRandom } from '../../src/random.ts'
import { openStore } from '../../src/store/store.ts'
import { serveAgent } from '../processes/agent.ts'
import { tokenPrefix } from '../subjects/fixture.ts'

/** Many nodes of a fleet in one process: each with its own lease, knowledge of the log and acknowledgements. */

type Membership = Awaited<ReturnType<typeof joinFleet>>

const members: Membership[] = []
let store: Awaited<ReturnType<typeof openStore>> | undefined

const calls = {
  async open({ databaseUrl }: { readonly databaseUrl: string }) {
    // Its nodes share these, beside the one that each of them listens on.
    store = await openStore(databaseUrl, { maxConnections: 4 })
  },

  async join({ nodes, leaseMs }: { readonly nodes: number; readonly leaseMs: number }) {
    const open = store
    if (open === undefined) throw new Error('there is no store')
    const clock = createDatabaseClock(systemClock)
    for (let i = 0; i < nodes; i++) {
      members.push(
        await joinFleet(
          { leaseMs, outage: { graceMs: 0 }, cacheEntries: 1_000, tokenPrefix },
          {
            ...{ store: open, clock, ownClock: systemClock, random: systemRandom },
            log: createLog('silent'),
            metrics: { lookedUp() {}, watchNode() {} },
          },
        ),
      )
    }
  },

  /** What every node says of this token: allowed, or the reason why not. */
  async ask({ token, domain }: { readonly token: string; readonly domain: string }) {
    const said: Record<string, number> = {}
    for (const { authenticator } of members) {
      const presented = authenticator.present(token)
      if (presented === undefined) throw new Error('the token is malformed')
      const verdict = await authenticator.authorise(presented, [domain])
      const outcome = verdict.allowed ? 'allowed' : verdict.reason
      said[outcome] = (said[outcome] ?? 0) + 1
    }
    return said
  },

  async leave() {
    for (const member of members.splice(0)) await member.leave()
  },
}
export type FleetProcess = typeof calls

serveAgent(calls)
