import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Decision } from './core/decide.ts'
import type { DenialReason } from './core/denial.ts'
import type { Receipt } from './service/ports/registry.ts'
import { tallied, talliedHistogram } from './tallies.ts'

/** What the gate counts. Labels are closed lists: no address, token or domain ever becomes one. */
export interface Metrics {
  /** A decision was made, and how long it took from the credential in hand. */
  decided(protocol: Protocol, stage: Stage, decision: Decision, ms: number): void
  /** The gate could not find out, and said so (503, 454). */
  couldNotDecide(protocol: Protocol): void
  /** The answer to a request, by HTTP status, or to a message after DATA, by SMTP reply code. */
  answered(protocol: Protocol, code: number, ms: number): void
  /** An upstream could not be reached, or answered nonsense. */
  upstreamFailed(protocol: Protocol): void
  /** Messages or requests being handled now. */
  inFlight(protocol: Protocol, change: 1 | -1): void
  /** Something was turned away because one client, or one account, had enough of it. */
  limited(limit: 'client-connections' | 'account-connections' | 'body-memory'): void
  /** Shows the memory that bodies have taken. */
  watchBodyMemory(held: () => number): void
  /** A change of this process has answered. */
  changed(receipt: Receipt): void
  /** A record was found: in memory, in the shared cache, or in the store. */
  lookedUp(tier: 'memory' | 'shared' | 'store'): void
  /** Shows this node's place in the fleet. */
  watchNode(node: {
    readonly leaseMsLeft: () => number
    readonly epoch: () => number
    readonly skewMs: () => number
  }): void
  /** The Prometheus text exposition format. */
  render(): Promise<Rendered>
  /** The same for a process that adds it to others'. */
  snapshot(): Promise<MetricsSnapshot>
}

export interface Rendered {
  readonly contentType: string
  readonly body: string
}

export type MetricsSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

/** What several processes have counted, as if they were one: sums, and the worst of what cannot be added. */
export async function renderTogether(snapshots: readonly MetricsSnapshot[]): Promise<Rendered> {
  const together = AggregatorRegistry.aggregate([...snapshots])
  return { contentType: together.contentType, body: await together.metrics() }
}

/** What a process leaves behind when it ends: a gauge tells of now, and has nothing to leave. */
export function countsOf(snapshot: MetricsSnapshot): MetricsSnapshot {
  return snapshot.filter(({ type }) => String(type) !== 'gauge')
}

/** Several such remains in one, however many there were. */
export async function addCounts(
  remains: readonly (MetricsSnapshot | Promise<MetricsSnapshot>)[],
): Promise<MetricsSnapshot> {
  return AggregatorRegistry.aggregate(await Promise.all(remains)).getMetricsAsJSON()
}

export type Protocol = 'http' | 'smtp'
/** `auth`: is the token alive; `envelope`: MAIL FROM; `message`: everything the message claims, last. */
export type Stage = 'auth' | 'envelope' | 'message'

/** A look-up in memory takes a microsecond, one in PostgreSQL a millisecond, a dead database seconds. */
const decisionBuckets = [0.000_005, 0.000_05, 0.000_2, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10]
const answerBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60]

export function createMetrics(): Metrics {
  const registry = new Registry()
  const registers = [registry]

  const decisions = tallied(Counter, {
    name: 'postern_decisions_total',
    help: 'Decisions by protocol, stage and outcome: allowed, or the reason of the denial.',
    labelNames: ['protocol', 'stage', 'outcome'],
    registers,
  })
  const decisionSeconds = talliedHistogram({
    name: 'postern_decision_seconds',
    help: 'Time from a credential in hand to the decision.',
    labelNames: ['protocol', 'stage'],
    buckets: decisionBuckets,
    registers,
  })
  const undecided = new Counter({
    name: 'postern_undecided_total',
    help: 'Times the gate could not find out and answered 503 or 454.',
    labelNames: ['protocol'],
    registers,
  })
  const answers = tallied(Counter, {
    name: 'postern_answers_total',
    help: 'Answers to requests by HTTP status, and to messages after DATA by SMTP reply code.',
    labelNames: ['protocol', 'code'],
    registers,
  })
  const answerSeconds = talliedHistogram({
    name: 'postern_answer_seconds',
    help: 'Time from the header of a request, or from DATA, to its answer.',
    labelNames: ['protocol'],
    buckets: answerBuckets,
    registers,
  })
  const upstreamFailures = new Counter({
    name: 'postern_upstream_failures_total',
    help: 'Hand-overs that failed because the upstream was unreachable or answered nonsense.',
    labelNames: ['protocol'],
    registers,
  })
  const inFlight = tallied(Gauge, {
    name: 'postern_in_flight',
    help: 'Requests and messages being handled.',
    labelNames: ['protocol'],
    registers,
  })

  const limited = new Counter({
    name: 'postern_limited_total',
    help: 'Connections and bodies that were turned away, by the limit that was reached.',
    labelNames: ['limit'],
    registers,
  })

  const lookups = tallied(Counter, {
    name: 'postern_lookups_total',
    help: 'Records found, by where: memory, the shared cache, or the store.',
    labelNames: ['tier'],
    registers,
  })

  const changes = new Counter({
    name: 'postern_changes_total',
    help: 'Changes by how far they had got when they answered: confirmed, fenced (a silent node was waited out), pending.',
    labelNames: ['outcome'],
    registers,
  })
  const confirmationSeconds = new Histogram({
    name: 'postern_change_confirmation_seconds',
    help: 'Time from the commit of a change to its answer.',
    buckets: answerBuckets,
    registers,
  })

  const decidedAt = remembering((protocol: Protocol) =>
    remembering((stage: Stage) => ({
      observe: decisionSeconds({ protocol, stage }),
      tallyOf: remembering((outcome: 'allowed' | DenialReason) =>
        decisions({ protocol, stage, outcome }),
      ),
    })),
  )
  const answeredOver = remembering((protocol: Protocol) => ({
    observe: answerSeconds({ protocol }),
    tallyOf: remembering((code: number) => answers({ protocol, code })),
  }))
  const handled = { http: inFlight({ protocol: 'http' }), smtp: inFlight({ protocol: 'smtp' }) }
  const found = {
    memory: lookups({ tier: 'memory' }),
    shared: lookups({ tier: 'shared' }),
    store: lookups({ tier: 'store' }),
  }

  return {
    changed({ propagation, fenced, ms }) {
      const outcome = propagation === 'pending' ? 'pending' : fenced > 0 ? 'fenced' : 'confirmed'
      changes.inc({ outcome })
      confirmationSeconds.observe(ms / 1000)
    },
    limited: (limit) => limited.inc({ limit }),
    watchBodyMemory(held) {
      new Gauge({
        name: 'postern_body_memory_bytes',
        help: 'Memory of HTTP bodies that are being read or forwarded.',
        registers,
        collect() {
          this.set(held())
        },
      })
    },
    lookedUp(tier) {
      found[tier].count += 1
    },
    watchNode({ leaseMsLeft, epoch, skewMs }) {
      const show = (name: string, aggregator: 'min' | 'max', help: string, read: () => number) =>
        new Gauge({
          name,
          help,
          aggregator,
          registers,
          collect() {
            this.set(read())
          },
        })
      show(
        'postern_lease_seconds_left',
        'min',
        'How long this node may go on deciding without a renewal; negative when it may not.',
        () => leaseMsLeft() / 1000,
      )
      show(
        'postern_epoch',
        'min',
        'The last entry of the revocation log that this node has applied.',
        epoch,
      )
      show(
        'postern_clock_skew_seconds',
        'max',
        "By how much this machine's clock is ahead of the database's.",
        () => skewMs() / 1000,
      )
    },
    decided(protocol, stage, decision, ms) {
      const { observe, tallyOf } = decidedAt(protocol)(stage)
      tallyOf(decision.allowed ? 'allowed' : decision.reason).count += 1
      observe(ms / 1000)
    },
    couldNotDecide: (protocol) => undecided.inc({ protocol }),
    answered(protocol, code, ms) {
      const { observe, tallyOf } = answeredOver(protocol)
      tallyOf(code).count += 1
      observe(ms / 1000)
    },
    upstreamFailed: (protocol) => upstreamFailures.inc({ protocol }),
    inFlight(protocol, change) {
      handled[protocol].count += change
    },
    snapshot: () => registry.getMetricsAsJSON(),
    render: async () => ({ contentType: registry.contentType, body: await registry.metrics() }),
  }
}

/** Makes what belongs to a key when it is first asked for. */
function remembering<K, V>(make: (key: K) => V): (key: K) => V {
  const made = new Map<K, V>()
  return function recall(key) {
    const known = made.get(key)
    if (known !== undefined) return known
    const fresh = make(key)
    made.set(key, fresh)
    return fresh
  }
}
