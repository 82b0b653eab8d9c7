import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../src/clock.ts'
import { systemRandom } from '../../src/random.ts'
import { type Sink, startSink } from '../../src/sink/sink.ts'
import { createLine, type Line } from './line.ts'
import { createWorkplace, type RunningProgram, type Workplace } from './program.ts'
import { connectSmtp, plain, type SmtpClient } from './smtp-client.ts'

/** Gates as in production, with a line that can be cut to each upstream. */
export interface OutageBench {
  readonly place: Workplace
  readonly sink: Sink
  readonly emailApi: Line
  readonly relay: Line
  /** A token that no gate has seen yet. */
  createToken(): Promise<{ id: number; token: string }>
  close(): Promise<void>
}

export const leaseMs = 2_000
const upstreamTimeoutMs = 1_000
const anyPort = { host: '127.0.0.1', port: 0 }
/** Nothing of the gate takes as long; a test that waits in vain says where. */
const answerLimitMs = 15_000

export async function createOutageBench(
  settings: Record<string, string> = {},
): Promise<OutageBench> {
  const sink = await startSink({
    httpListen: anyPort,
    smtpListen: anyPort,
    clock: systemClock,
    random: systemRandom,
  })
  const emailApi = await createLine(addressOf(sink.http))
  const relay = await createLine(addressOf(`smtp://${sink.smtp}`))
  const place = createWorkplace({
    POSTERN_UPSTREAM_HTTP: `http://127.0.0.1:${emailApi.port}`,
    POSTERN_UPSTREAM_SMTP: `smtp://127.0.0.1:${relay.port}`,
    POSTERN_UPSTREAM_TIMEOUT_MS: String(upstreamTimeoutMs),
    POSTERN_ALLOW_INSECURE_AUTH: 'true',
    POSTERN_SHUTDOWN_TIMEOUT_MS: '1000',
    POSTERN_LEASE_MS: String(leaseMs),
    ...settings,
  })
  const sealKey = join(place.folder, 'seal.key')
  writeFileSync(sealKey, randomBytes(32).toString('base64'))
  place.environment.POSTERN_SEAL_KEY_FILE = sealKey
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  return {
    place,
    sink,
    emailApi,
    relay,
    createToken: () => place.json('token', 'create', '--name', 'x', '--domain', 'acme.test:admin'),
    async close() {
      await place.remove()
      await Promise.all([emailApi.close(), relay.close()])
      await sink.close()
    },
  }
}

/** A token as no store has ever known one. */
export function unknownToken(): string {
  return `never-issued-${randomBytes(12).toString('hex')}`
}

const message = JSON.stringify({
  from: { email: 'hello@acme.test' },
  to: [{ email: 'you@example.net' }],
  subject: 'Hello',
  text: 'x',
})

export interface HttpAnswer {
  readonly status: number
  readonly retryAfter: string | null
}

export async function sendHttp(gate: RunningProgram, token: string): Promise<HttpAnswer> {
  const answer = await fetch(`${gate.ready.http}/api/send`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: message,
    signal: AbortSignal.timeout(answerLimitMs),
  })
  await answer.arrayBuffer()
  return { status: answer.status, retryAfter: answer.headers.get('retry-after') }
}

export async function openSession(gate: RunningProgram): Promise<SmtpClient> {
  const session = await connectSmtp(gate.ready.smtp)
  await session.say('EHLO client.test')
  return session
}

/** The first reply that is not the one of success, or the last. */
export async function sendSmtp(gate: RunningProgram, token: string): Promise<string> {
  const session = await openSession(gate)
  const dialogue: readonly (readonly [string, RegExp])[] = [
    [plain(token), /^235 /],
    ['MAIL FROM:<hello@acme.test>', /^250 /],
    ['RCPT TO:<you@example.net>', /^250 /],
    ['DATA', /^354 /],
    ['From: hello@acme.test\r\n\r\nx\r\n.', /^250 /],
  ]
  let reply = ''
  for (const [line, wanted] of dialogue) {
    reply = await session.say(line)
    if (!wanted.test(reply)) return reply
  }
  return reply
}

/** What a probe of the control plane is told. */
export async function probe(gate: RunningProgram, path: '/readyz' | '/livez'): Promise<number> {
  const answer = await fetch(`${gate.ready.admin}${path}`, {
    signal: AbortSignal.timeout(answerLimitMs),
  })
  await answer.arrayBuffer()
  return answer.status
}

/** How often the gate has asked its store for a record. */
export async function storeLookups(gate: RunningProgram): Promise<number> {
  const page = await (await fetch(`${gate.ready.admin}/metrics`)).text()
  const found = /^postern_lookups_total\{tier="store"\} (\d+)/m.exec(page)?.[1]
  if (found === undefined) throw new Error('the gate does not count its look-ups')
  return Number(found)
}

function addressOf(url: string) {
  const { hostname, port } = new URL(url)
  return { host: hostname, port: Number(port) }
}
