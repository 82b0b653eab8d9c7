import { expectOnly, expectSame, totalOf, WrongAnswers } from '../load/counts.ts'
import type { SmtpLoader, SmtpSender } from '../load/smtp-loader.ts'
import { createLatencies } from '../measure/latency.ts'
import { inRounds } from '../measure/rounds.ts'
import { measureSaturation, warmUp } from '../measure/saturation.ts'
import { warmUpOf } from '../plan.ts'
import type { Agent } from '../processes/agent.ts'
import { formatDuration } from '../report/format.ts'
import { createFixture, type Fixture, type Sender } from '../subjects/fixture.ts'
import { smtpFloor, smtpNodemailerFloor, smtpRelayFloor } from '../subjects/floors.ts'
import { type Contender, type LineUp, lineUp } from '../subjects/line-up.ts'
import { smtpPeers } from '../subjects/peers.ts'
import { posternSmtp, posternSmtpQuiet } from '../subjects/postern.ts'
import type { Bench, Workload } from '../workload.ts'
import { compareCosts, mergeLatencies, tabulate } from './compare.ts'

const messageBytes = 2_048
const perSession = [1, 10]
/** At once. Postfix has a process for each: more would only wait for each other. */
export const sessions = 60

const subjects = [
  ...[smtpRelayFloor, posternSmtp, posternSmtpQuiet, smtpFloor, smtpNodemailerFloor],
  ...smtpPeers,
]

export const smtp: Workload = {
  name: 'smtp',
  about:
    'A 2 KB message over SMTP with AUTH PLAIN and no TLS, one or ten messages on a connection. CPU time of all processes ' +
    'of a subject by messages taken at saturation; latency of one message with its connection under a steady rate. Postern ' +
    'and the floors greet at once, as Haraka and Postfix do: while smtp-server waits its 100 ms, a core would be idle.',
  subjects,

  async run(bench) {
    const { plan, crew } = bench
    const fixture = createFixture({ tokens: plan.senders, domains: plan.senders / 10 })
    const line = await lineUp(bench, fixture, subjects)
    const loader = crew.agent<SmtpLoader>(new URL('../load/smtp-loader.ts', import.meta.url))
    for (const contender of line.contenders) await expectChecks(contender, line, loader, fixture)

    const load = { bench, line, loader, senders: fixture.senders }
    const costs = []
    for (const messages of perSession) costs.push(await measureCosts(load, messages))
    const latency = {
      title: `Latency of a message with its connection, ${plan.smtpPerSecond} a second`,
      series: await measureLatencies(load),
    }
    return {
      ...line.notes,
      bars: costs.flatMap(({ bars }) => bars),
      tables: [...costs.flatMap(({ tables }) => tables), tabulate(latency)],
      samples: costs.flatMap(({ samples }) => samples),
      curves: [latency],
    }
  },
}

interface Load {
  readonly bench: Bench
  readonly line: LineUp
  readonly loader: Agent<SmtpLoader>
  readonly senders: readonly Sender[]
}

async function measureCosts(
  { bench: { plan, progress }, line, loader, senders }: Load,
  messagesPerSession: number,
) {
  const samples = await inRounds(plan.rounds, line.contenders, async (contender, round) => {
    const { name, port, pids } = contender
    const load = { port, sessions, messagesPerSession }
    async function saturate(forMs: number): Promise<number> {
      const { counts } = await loader.call('saturate', { ...load, forMs })
      return expectOnly(250, counts, name)
    }
    await prepare(loader, contender, senders)
    await warmUp(saturate, warmUpOf(plan, round))
    await takeArrived(contender, line)
    const cost = await measureSaturation(pids, () => saturate(plan.measureMs))
    expectSame(cost.units, await takeArrived(contender, line), name)
    progress(
      `round ${round + 1}/${plan.rounds}  ${name}, ${messagesPerSession} on a connection: ` +
        `${cost.microsPerUnit.toFixed(0)} µs a message`,
    )
    return cost
  })
  const compared = compareCosts({
    title: `CPU time for each message, ${messagesPerSession} on a connection`,
    unit: 'µs',
    subjects: line.contenders.map(({ subject }) => subject),
    samples,
    baselines: [smtpRelayFloor.name, smtpFloor.name, 'Haraka', 'Postfix + Dovecot'],
  })
  return { ...compared, samples: samples.map((sample) => ({ ...sample, messagesPerSession })) }
}

async function measureLatencies({ bench: { plan, progress }, line, loader, senders }: Load) {
  const samples = await inRounds(plan.rounds, line.contenders, async (contender, round) => {
    const { name, port } = contender
    await prepare(loader, contender, senders)
    await takeArrived(contender, line)
    const steady = { port, perSecond: plan.smtpPerSecond, forMs: plan.latencyMs }
    const { counts, latencies } = await loader.call('openLoop', steady)
    expectSame(expectOnly(250, counts, name), await takeArrived(contender, line), name)
    const p99 = formatDuration(createLatencies(latencies).at(99))
    progress(`round ${round + 1}/${plan.rounds}  ${name}: p99 ${p99}`)
    return { latencies }
  })
  return line.contenders.map(({ name, subject: { kind } }) => ({
    label: name,
    kind,
    latencies: mergeLatencies(samples, name),
  }))
}

export function prepare(
  loader: Agent<SmtpLoader>,
  { userOf = () => 'api' }: Contender,
  senders: readonly Sender[],
  bytes = messageBytes,
) {
  return loader.call('prepare', {
    senders: senders.map((sender, i) => senderOf(sender, userOf(sender, i))),
    messageBytes: bytes,
  })
}

function senderOf({ token, domain }: Sender, user: string): SmtpSender {
  return { user, token, fromDomain: domain }
}

/** A subject without a relay has counted itself. */
export async function takeArrived(contender: Contender, { smtpUpstream }: LineUp): Promise<number> {
  const { messages } = await smtpUpstream.call('take', undefined)
  return (await contender.takeDrained?.()) ?? messages
}

/** A subject that says it checks must refuse, and nothing that it refused may reach the relay. */
async function expectChecks(
  contender: Contender,
  line: LineUp,
  loader: Agent<SmtpLoader>,
  fixture: Fixture,
) {
  const { name, port, subject, userOf = () => 'api' } = contender
  const [sender] = fixture.senders
  if (sender === undefined) throw new Error('there is nobody to send as')
  const user = userOf(sender, 0)
  async function ask(token: string, fromDomain: string) {
    await loader.call('prepare', { senders: [{ user, token, fromDomain }], messageBytes })
    const once = { port, forMs: 0, sessions: 1, messagesPerSession: 1 }
    return (await loader.call('saturate', once)).counts
  }
  await takeArrived(contender, line)
  const accepted = expectOnly(250, await ask(sender.token, sender.domain), name)
  const refusals = [
    ...(subject.checks.token ? [await ask(fixture.unknownToken, sender.domain)] : []),
    ...(subject.checks.sender ? [await ask(sender.token, fixture.foreignDomain)] : []),
  ]
  for (const counts of refusals) {
    const [code = ''] = Object.keys(counts)
    if (totalOf(counts) !== 1 || !/^5\d\d$/.test(code)) {
      throw new WrongAnswers(`${name} should have refused, and answered ${JSON.stringify(counts)}`)
    }
  }
  expectSame(accepted, await takeArrived(contender, line), name)
}
