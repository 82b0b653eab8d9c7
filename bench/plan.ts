/** What every measurement of a plan is preceded by. */
export function warmUpOf(plan: Plan, round: number) {
  return round === 0
    ? { forMs: plan.firstWarmMs, units: plan.firstWarmUnits }
    : { forMs: plan.warmMs, units: 0 }
}

/** How long everything takes: the same workloads in a quick form, and in one to publish. */
export interface Plan {
  readonly name: 'quick' | 'full' | 'smoke'
  /** How often each subject is measured, one after the other: A B C A B C … */
  readonly rounds: number
  /** Who send in turn, each as one domain of a tenth as many. */
  readonly senders: number
  /** Before each measurement, so that connections are there. */
  readonly warmMs: number
  /** Before the first of each subject, so that what is compiled late is compiled. */
  readonly firstWarmMs: number
  readonly firstWarmUnits: number
  readonly measureMs: number
  /** Of open-loop load. */
  readonly latencyMs: number
  readonly httpPerSecond: number
  readonly smtpPerSecond: number
  readonly attachmentBytes: readonly number[]
  /** Changes in each round of `revocation` and `fleet`. */
  readonly changes: number
  readonly fleetNodes: readonly number[]
  readonly storeTokens: readonly number[]
  readonly postgresTokens: number
  /** Uses of tokens, Zipf distributed, for each size of the store. */
  readonly scaleUses: number
  readonly crowd: number
  /** Requests whose instructions are counted (half as many messages), and what comes before. */
  readonly counted: { readonly warmUnits: number; readonly units: number }
}

const kilo = 1_000
const mega = 1_000_000

export const plans: Readonly<Record<Plan['name'], Plan>> = {
  full: {
    name: 'full',
    rounds: 5,
    senders: 1_000,
    warmMs: 500,
    firstWarmMs: 3_000,
    firstWarmUnits: 30_000,
    measureMs: 3_000,
    latencyMs: 3_000,
    httpPerSecond: 1_500,
    smtpPerSecond: 100,
    attachmentBytes: [kilo, 10 * kilo, 100 * kilo, mega, 5 * mega, 20 * mega],
    changes: 25,
    fleetNodes: [1, 4, 16, 64, 256],
    storeTokens: [kilo, 100 * kilo, mega, 10 * mega],
    postgresTokens: mega,
    scaleUses: 300_000,
    crowd: 1_000,
    counted: { warmUnits: 30_000, units: 4_000 },
  },
  quick: {
    name: 'quick',
    rounds: 2,
    senders: 1_000,
    warmMs: 250,
    firstWarmMs: 1_500,
    firstWarmUnits: 10_000,
    measureMs: 700,
    latencyMs: 600,
    httpPerSecond: 1_000,
    smtpPerSecond: 50,
    attachmentBytes: [kilo, 100 * kilo, 5 * mega],
    changes: 8,
    fleetNodes: [1, 8, 32],
    storeTokens: [kilo, 100 * kilo],
    postgresTokens: 20 * kilo,
    scaleUses: 60_000,
    crowd: 300,
    counted: { warmUnits: 4_000, units: 1_000 },
  },
  smoke: {
    name: 'smoke',
    rounds: 1,
    senders: 20,
    warmMs: 20,
    firstWarmMs: 20,
    firstWarmUnits: 1,
    measureMs: 100,
    latencyMs: 100,
    httpPerSecond: 200,
    smtpPerSecond: 20,
    attachmentBytes: [kilo, mega],
    changes: 2,
    fleetNodes: [2],
    storeTokens: [kilo],
    postgresTokens: kilo,
    scaleUses: 2_000,
    crowd: 20,
    counted: { warmUnits: 20, units: 20 },
  },
}
