import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, type Dispatcher } from 'undici'
import { systemClock } from '../../src/clock.ts'
import { parseConfig } from '../../src/config.ts'
import { type ControlPlane, openControlPlane } from '../../src/control-plane.ts'
import { systemRandom } from '../../src/random.ts'
import { startSink } from '../../src/sink/sink.ts'
import { startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type RunningProgram } from '../helpers/program.ts'
import { startRedis } from '../helpers/redis.ts'

/**
 * Three gates as real processes on PostgreSQL and Redis. Clients send without pause, an operator deletes, narrows, widens
 * and resets tokens without pause, and somebody stops, kills and cuts what it all stands on. From the history, in one
 * monotonic time, it is then told whether any decision was made on what was no longer true.
 */

const leaseMs = 1_000
const actor = { name: 'Chaos', origin: 'test' }
type Rights = 'may-send' | 'may-not' | 'gone'

/** One attempt to send: what a client saw. */
interface Attempt {
  readonly token: number
  readonly gate: number
  readonly startedAt: number
  readonly endedAt: number
  /** 0 when there was no answer. */
  readonly status: number
}

/** One change of a token's rights: from `startedAt` either state may be decided on, from `answeredAt` only the new one. */
interface Change {
  readonly token: number
  readonly to: Rights
  readonly startedAt: number
  /** Infinite when it was not confirmed. */
  readonly answeredAt: number
  readonly ms: number
  readonly fenced: number
}

export interface History {
  readonly seed: number
  readonly attempts: readonly Attempt[]
  readonly changes: readonly Change[]
  /** Times in which something was broken on purpose, with a lease for recovery. */
  readonly faults: readonly { readonly what: string; readonly from: number; readonly to: number }[]
}

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  readonly say?: (line: string) => void
}

export async function runChaos({ seconds, seed, say = () => {} }: ChaosOptions): Promise<History> {
  const random = createRandom(seed)
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()])
  const anyPort = { host: '127.0.0.1', port: 0 }
  const sink = await startSink({
    httpListen: anyPort,
    smtpListen: anyPort,
    clock: systemClock,
    random: systemRandom,
  })
  const place = createWorkplace({
    POSTERN_DATABASE_URL: await postgres.createDatabase(),
    POSTERN_REDIS_URL: redis.url,
    POSTERN_UPSTREAM_HTTP: sink.http,
    POSTERN_SMTP_LISTEN: 'none',
    POSTERN_LEASE_MS: String(leaseMs),
    POSTERN_SHUTDOWN_TIMEOUT_MS: '500',
    POSTERN_LOG_LEVEL: 'error',
  })
  const sealKey = join(place.folder, 'seal.key')
  writeFileSync(sealKey, randomBytes(32).toString('base64'))
  place.environment.POSTERN_SEAL_KEY_FILE = sealKey

  const result = parseConfig('tool', [place.environment])
  if (!result.ok) throw new Error(result.problems.join('; '))
  const system = { clock: systemClock, random: systemRandom }
  const log = { warn() {} }
  const controlPlane = await openControlPlane(result.config, { ...system, log })
  const gates = await Promise.all([0, 1, 2].map(() => place.start('serve')))
  const dispatcher = new Agent({ connections: 64, headersTimeout: 10_000 })

  const now = () => performance.now()
  const history = {
    seed,
    attempts: [] as Attempt[],
    changes: [] as Change[],
    faults: [] as { what: string; from: number; to: number }[],
  }
  const probes: Promise<unknown>[] = []
  let stopped = false
  try {
    const bench = await prepare(controlPlane)
    const endsAt = now() + seconds * 1_000
    const stop = () => now() > endsAt
    await Promise.all([
      ...gates.map((_gate, gate) => sendAlways(gate, bench)),
      ...gates.map((_gate, gate) => sendAlways(gate, bench)),
      operate(bench, stop, 0),
      operate(bench, stop, 1),
      breakThings(stop),
    ])
    await Promise.all(probes)
    return history
  } finally {
    stopped = true
    await dispatcher.destroy()
    await place.remove()
    await controlPlane.close().catch(() => {})
    await sink.close()
    await redis.stop()
    await postgres.stop()
  }

  /** Clients send with tokens that are in use now, round and round. */
  async function sendAlways(gate: number, bench: Bench) {
    for (let turn = gate; !stopped && !bench.over; turn++) {
      const tokens = bench.live
      const chosen = tokens[turn % tokens.length]
      if (chosen === undefined) throw new Error('no token')
      const status = await attempt(gate, chosen)
      if (status === 0) await delay(20)
    }
  }

  async function attempt(gate: number, { id: token, secret }: BenchToken) {
    const startedAt = now()
    const status = await send(gates[gate], secret, dispatcher)
    history.attempts.push({ token, gate, startedAt, endedAt: now(), status })
    return status
  }

  /** Two operators, each with tokens of its own. */
  async function operate(bench: Bench, stop: () => boolean, operator: number) {
    while (!stop()) {
      const own = bench.live.filter((_token, i) => i % 2 === operator)
      const token = own[random.below(own.length)]
      if (token === undefined) throw new Error('no token')
      const to: Rights =
        random.below(4) === 0 ? 'gone' : token.rights === 'may-send' ? 'may-not' : 'may-send'
      const startedAt = now()
      token.rights = to
      const answered = await change(bench, token, to).catch(() => undefined)
      const receipt = answered?.done === true ? answered.receipt : null
      const isConfirmed = receipt?.propagation === 'confirmed'
      history.changes.push({
        token: token.id,
        to,
        startedAt,
        answeredAt: isConfirmed ? now() : Number.POSITIVE_INFINITY,
        ms: now() - startedAt,
        fenced: receipt?.fenced ?? 0,
      })
      // The very first requests after the answer: a gate that stands still finds them waiting when it goes on.
      for (const gate of gates.keys()) probes.push(attempt(gate, token))
      if (answered === undefined) {
        // Nobody knows: the token is given up, and the checker expects nothing of it.
        token.rights = 'gone'
      }
      // Clients go on with a token that is gone for a while: that is when it must be refused.
      await delay(20 + random.below(60))
      if (token.rights === 'gone') await bench.replace(token)
    }
    bench.over = true
  }

  function change(bench: Bench, token: BenchToken, to: Rights) {
    if (to === 'gone') return controlPlane.revoke.deleteToken(token.id, actor)
    const level = to === 'may-send' ? 'admin' : 'viewer'
    const resource = { type: 'domain', id: bench.domainId } as const
    return controlPlane.revoke.replaceGrants(token.id, [{ resource, level }], actor)
  }

  async function breakThings(stop: () => boolean) {
    const faults: [string, () => Promise<void>][] = [
      ['a gate stands still for 0.2 leases', () => standStill(0.2)],
      ['a gate stands still for 1.1 leases', () => standStill(1.1)],
      ['a gate stands still for 3 leases', () => standStill(3)],
      ['a gate is killed', kill],
      ['PostgreSQL stands still', pausePostgres],
      ['PostgreSQL crashes', crashPostgres],
      ['Redis is flushed', flushRedis],
      ['Redis is killed', killRedis],
    ]
    await delay(1_000)
    while (!stop()) {
      const [what, act] = faults[random.below(faults.length)] ?? ['', async () => {}]
      say(what)
      const from = now()
      await act()
      // Connections are made anew, leases renewed.
      history.faults.push({ what, from, to: now() + 2 * leaseMs + 1_000 })
      await delay(300 + random.below(700))
    }
  }

  async function standStill(leases: number) {
    const { process } = gates[random.below(3)] as RunningProgram
    process.kill('SIGSTOP')
    await delay(leases * leaseMs)
    process.kill('SIGCONT')
  }

  async function kill() {
    const which = random.below(3)
    await gates[which]?.stop('SIGKILL')
    gates[which] = await place.start('serve')
  }

  async function pausePostgres() {
    postgres.pause()
    await delay(random.below(1_500))
    postgres.resume()
  }

  async function crashPostgres() {
    await postgres.kill()
    await delay(random.below(500))
    await postgres.start()
  }

  async function flushRedis() {
    const client = redis.client()
    await client.flushall().catch(() => {})
    client.disconnect()
  }

  async function killRedis() {
    await redis.servers[0]?.kill()
    await delay(random.below(500))
    await redis.servers[0]?.start()
  }
}

interface BenchToken {
  readonly id: number
  readonly secret: string
  rights: Rights
}

interface Bench {
  readonly domainId: number
  readonly live: BenchToken[]
  over: boolean
  replace(token: BenchToken): Promise<void>
}

const tokensInUse = 8

async function prepare({ issue }: ControlPlane): Promise<Bench> {
  const account = await issue.createAccount('Acme', actor)
  if (!account.done) throw new Error('no account')
  const accountId = account.value.id
  const added = await issue.addDomain({ accountId, name: 'acme.test', state: 'verified' }, actor)
  if (!added.done) throw new Error('no domain')
  const domainId = added.value.domain.id

  async function create(): Promise<BenchToken> {
    const resource = { type: 'domain', id: domainId } as const
    const created = await issue.createToken(
      { accountId, name: 'x', grants: [{ resource, level: 'admin' }], expiresAt: null },
      actor,
    )
    if (!created.done) throw new Error('no token')
    const { record, bearerToken } = created.value
    return { id: record.id, secret: bearerToken, rights: 'may-send' }
  }

  const bench: Bench = {
    domainId,
    live: await Promise.all(Array.from({ length: tokensInUse }, create)),
    over: false,
    async replace(token) {
      for (;;) {
        try {
          bench.live[bench.live.indexOf(token)] = await create()
          return
        } catch {
          await delay(50)
        }
      }
    },
  }
  return bench
}

const message = JSON.stringify({
  from: { email: 'hello@acme.test' },
  to: [{ email: 'you@example.net' }],
  subject: 'Hello',
  text: 'x',
})

async function send(
  gate: RunningProgram | undefined,
  secret: string,
  dispatcher: Dispatcher,
): Promise<number> {
  if (gate === undefined) return 0
  try {
    const answer = await dispatcher.request({
      origin: gate.ready.http,
      path: '/api/send',
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: message,
    })
    await answer.body.dump()
    return answer.statusCode
  } catch {
    return 0
  }
}

/**
 * What the history breaks of the promises; empty when they were kept. `truthOnly` leaves out how long things took, and
 * outages that came without a fault: on a busy machine they say nothing of the gate.
 */
export function findViolations(
  { attempts, changes, faults }: History,
  { truthOnly = false }: { readonly truthOnly?: boolean } = {},
): string[] {
  const violations: string[] = []
  const byToken = Map.groupBy(changes, ({ token }) => token)
  for (const attempt of attempts) {
    const expected = statusesAllowed(attempt, byToken.get(attempt.token) ?? [])
    const isFaulty = faults.some(
      ({ from, to }) => attempt.endedAt >= from && attempt.startedAt <= to,
    )
    if (isFaulty || truthOnly) expected.push(0, 503, 502, 504)
    if (expected.includes(attempt.status)) continue
    violations.push(
      `token ${attempt.token} at gate ${attempt.gate}: ${attempt.status}, and not ${expected.join(' or ')}`,
    )
  }
  const bound = leaseMs * 1.02 + 1_000
  for (const { token, ms, answeredAt } of truthOnly ? [] : changes) {
    const isSlow = Number.isFinite(answeredAt) && ms > bound + 4_000
    if (isSlow) violations.push(`the change of token ${token} took ${Math.round(ms)} ms`)
  }
  return violations
}

const statusOf = { 'may-send': 200, 'may-not': 403, gone: 401 } as const

/** The states that a decision may have been made on: each that was not yet over, and had begun. */
function statusesAllowed({ startedAt, endedAt }: Attempt, changes: readonly Change[]): number[] {
  const states: Rights[] = []
  /** Until when what came before may still be decided on. */
  const timeline: { to: Rights; from: number; over: number }[] = [
    { to: 'may-send', from: 0, over: Number.POSITIVE_INFINITY },
  ]
  for (const change of changes) {
    for (const earlier of timeline) earlier.over = Math.min(earlier.over, change.answeredAt)
    timeline.push({ to: change.to, from: change.startedAt, over: Number.POSITIVE_INFINITY })
  }
  for (const { to, from, over } of timeline) {
    if (from <= endedAt && startedAt < over) states.push(to)
  }
  return [...new Set(states)].map((state) => statusOf[state])
}

/** mulberry32: small, seeded, good enough to choose what to break. */
function createRandom(seed: number) {
  let state = seed >>> 0
  return {
    below(limit: number): number {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
      return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
    },
  }
}
