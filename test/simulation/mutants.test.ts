import { expect, test } from 'vitest'
import { type Edit, loadEdited } from './modules.ts'
import { type Faults, simulate } from './simulation.ts'

/**
 * Faults that somebody might build into the protocol one day. The simulation has to find each, or its silence about the
 * real one means nothing. An edit that finds nothing to replace fails: it has to follow the source.
 */
interface Mutant {
  readonly name: string
  readonly edits?: readonly Edit[]
  readonly faults?: Faults
  readonly onlyPromotions?: true
  /** A seed that found it when it was last looked for. */
  readonly foundBy?: number
}

const neverIncomplete: Edit = [
  'fleet/knowledge.ts',
  "if (!isWhole(fresh, from, epoch)) return 'gap'",
  '',
]
const fewTombstones: Edit = ['fleet/knowledge.ts', 'maxTombstones = 100_000', 'maxTombstones = 3']

const mutants: readonly Mutant[] = [
  {
    name: 'the lease is counted from the answer',
    foundBy: 194,
    edits: [['fleet/node.ts', 'lease.renew(askedAt)', 'lease.renew(clock.monotonic())']],
  },
  {
    name: 'the lease is counted on the wall clock',
    foundBy: 104,
    edits: [
      ['fleet/lease.ts', 'askedAt + usableMs)', 'askedAt - now + clock.now() + usableMs)'],
      ['fleet/lease.ts', 'if (now >= deadline)', 'if (clock.now() >= deadline)'],
    ],
  },
  {
    name: 'the lease is ended by a timer',
    edits: [
      ['fleet/lease.ts', 'if (now >= deadline) return false', 'if (over) return false'],
      [
        'fleet/lease.ts',
        'deadline = Math.max(deadline, askedAt + usableMs)',
        'hold(askedAt - now + usableMs)',
      ],
      [
        'fleet/lease.ts',
        'let notBefore =',
        `let over = true
         let cancel: any
         const hold = (ms: number) => {
           over = false
           cancel?.()
           cancel = (clock as any).later(ms, () => { over = true })
         }
         let notBefore =`,
      ],
    ],
  },
  {
    name: 'a machine that was asleep is not noticed',
    edits: [
      [
        'fleet/lease.ts',
        'if (uptimeRead - uptimeOffset <= suspicionMs) return false',
        'return false',
      ],
    ],
  },
  {
    name: 'the lease goes by the clock that the database sets',
    edits: [['membership.ts', 'createLease(ownClock, holdMs)', 'createLease(clock, holdMs)']],
  },
  {
    name: 'a renewal that was on its way in a sleep, or when the era changed, counts',
    edits: [['fleet/lease.ts', 'if (askedAt > notBefore) deadline', 'deadline']],
  },
  {
    name: 'records in the shared cache do not say of when they are',
    faults: { sharedWithoutEpoch: true },
  },
  {
    name: 'what was read is kept and used without asking whether it is still true',
    edits: [
      ['cache/cached-lookup.ts', "if (judge(sighting) === 'believed') memory.put", 'memory.put'],
      ['cache/cached-lookup.ts', "if (judge(kept) === 'believed') {", '{'],
      ['service/authenticate.ts', 'trust.believes(credential) &&', '!isAtHand(credential) ||'],
    ],
  },
  {
    name: 'who joins a reading that began before a change does not ask whether it is still true',
    edits: [['service/authenticate.ts', 'if (areBelieved(found)) return', 'return']],
  },
  {
    name: 'the last look before the last byte is left out',
    edits: [['service/authenticate.ts', 'stillHolds: () =>', 'stillHolds: () => true ||']],
  },
  {
    name: 'an answer from before is not asked whether it still holds',
    edits: [['service/authenticate.ts', 'answers && clearance.stillHolds()', 'answers']],
  },
  {
    name: 'the lease is not looked at in the decision',
    edits: [['service/authenticate.ts', 'if (!trust.mayDecide())', 'if (false)']],
  },
  {
    name: 'it is acknowledged before it is applied',
    edits: [
      [
        'fleet/node.ts',
        'switch (knowledge.apply(reading, asked)) {',
        `await registry.acknowledge({ incarnation: self, applied: reading })
         switch (knowledge.apply(reading, asked)) {`,
      ],
    ],
  },
  { name: 'the nodes are read before the commit', faults: { readsNodesBeforeCommit: true } },
  {
    name: 'epochs come from a sequence',
    edits: [neverIncomplete],
    faults: { database: { epochsFromSequence: true } },
  },
  {
    name: 'a repeated deletion answers at once',
    faults: { database: { repeatedDeletionAnswersAtOnce: true } },
  },
  { name: 'the rows of nodes can get lost', faults: { database: { losesNodes: true } } },
  {
    name: 'renewal and log are one transaction',
    faults: { database: { renewsAndReadsInOneTransaction: true } },
  },
  {
    name: 'lock and log are one statement',
    edits: [neverIncomplete],
    faults: { database: { locksInTheReading: true } },
  },
  {
    name: 'tombstones are dropped without a mark',
    edits: [
      fewTombstones,
      ['fleet/knowledge.ts', 'floor = mine\n        tombstones', 'tombstones'],
    ],
  },
  {
    name: 'a pruned log raises no mark',
    edits: [['fleet/knowledge.ts', 'if (completeFrom > mine) floor', 'if (false) floor']],
  },
  {
    name: 'the log does not say through where it was pruned',
    edits: [neverIncomplete],
    faults: { database: { forgetsThePruningMark: true } },
  },
  {
    name: 'an epoch is taken from a hint',
    edits: [
      [
        'fleet/node.ts',
        'registry.watchLog(() => {',
        `registry.watchLog(((epoch: number) => { (knowledge as any).hint(epoch)`,
      ],
      [
        'fleet/node.ts',
        "catchUp().catch((error) => log.warn({ event: 'pull_failed', error: String(error) }))\n      })",
        'catchUp().catch(() => {}) }) as any)',
      ],
      [
        'fleet/knowledge.ts',
        'judge(sighting) {',
        'hint(epoch: number) { mine = Math.max(mine, epoch) },\n    judge(sighting) {',
      ],
    ].map(([file = '', from = '', to = '']) => [file, from, to] as const),
  },
  {
    name: 'an older reading sets the node back',
    foundBy: 187,
    edits: [['fleet/knowledge.ts', 'mine = Math.max(mine, epoch)', 'mine = epoch']],
  },
  {
    name: 'a new era does not end the lease, and nobody waits for one',
    edits: [
      ['fleet/node.ts', 'lease.drop()', ''],
      ['fleet/confirmation.ts', '- reading.eraAgeMs', '- 1e9'],
    ],
  },
  {
    name: 'acknowledgements are kept across eras',
    faults: { database: { acknowledgesAcrossEras: true, acknowledgesTheUnknown: true } },
  },
  {
    name: 'an acknowledgement is believed of an epoch that the database never had',
    faults: { database: { acknowledgesTheUnknown: true } },
    onlyPromotions: true,
  },
  {
    name: 'a node is shut out by the number of its renewal alone',
    foundBy: 455,
    faults: { database: { fencesByNumberAlone: true } },
    onlyPromotions: true,
  },
  {
    name: 'a reading of a former era is applied',
    foundBy: 238,
    edits: [['fleet/knowledge.ts', "if (asked?.era !== era) return 'new-era'", '']],
    onlyPromotions: true,
  },
  {
    name: 'a replacement takes over the row of the node before it',
    faults: { reusesName: true, database: { overwritesNodes: true } },
  },
  {
    name: 'a node that ends goes on deciding',
    edits: [['fleet/node.ts', 'lease.end()\n', '']],
  },
  {
    name: 'a fenced node goes on under its name',
    edits: [
      [
        'fleet/node.ts',
        'incarnation = undefined\n        continue',
        'lease.renew(askedAt)\n return',
      ],
    ],
  },
  {
    name: 'a change names the tokens that it touches, and not the domain',
    faults: { database: { announcesTokensOnly: true } },
  },
  {
    name: 'an import does not make nodes ask again for what they did not find',
    edits: [
      ['fleet/knowledge.ts', 'value === undefined && isNamed', 'value !== undefined && isNamed'],
    ],
  },
  {
    name: 'the hold of a node is taken to be that of the one who waits',
    foundBy: 196,
    edits: [
      [
        'fleet/confirmation.ts',
        'patienceMs(node.holdMs)) continue',
        'patienceMs(900) - 250) continue',
      ],
    ],
  },
  {
    name: 'what is not heard of in a while is taken as gone',
    edits: [
      [
        'fleet/confirmation.ts',
        'if (now > giveUpAt) break',
        'if (now > readAt + 400) return { epoch, propagation: "confirmed", confirmed, fenced: 0, waitingFor: [], ms: ms() }',
      ],
    ],
  },
]

/** So many are tried. */
const seeds = 240

test.for(mutants)(
  'is found: $name',
  { timeout: 60_000 },
  async ({ edits = [], foundBy = 1, ...how }) => {
    const edited = await loadEdited(edits)
    try {
      let found: readonly string[] = []
      for (let tried = 0; tried < seeds && found.length === 0; tried++) {
        found = (await simulate(foundBy + tried, { modules: edited.modules, ...how })).violations
      }
      expect(found).not.toEqual([])
    } finally {
      await edited.remove()
    }
  },
)
