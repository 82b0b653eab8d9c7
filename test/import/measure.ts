import { spawn } from 'node:child_process'
import { hash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Agent, request } from 'undici'
import { startPostgres } from '../helpers/postgres.ts'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

/**
 * How long a large import takes, how much memory, and what the sends of a running gate notice of it:
 *
 *     npm run measure-import -- --tokens 1000000 --database postgres
 *
 * Sends come at a fixed rate, each measured from when it was due, so that a stall is not hidden by what then was not sent.
 * One half has a token that the gate knows; the other half asks the database, each with a token of its own. A second gate
 * with a database of its own is sent the same at the same moments: what both notice is the machine that they share with
 * the import, and what only the first notices is the import.
 */

const { values } = parseArgs({
  options: {
    tokens: { type: 'string', default: '1000000' },
    database: { type: 'string', default: 'sqlite' },
    clear: { type: 'boolean', default: false },
    rate: { type: 'string', default: '50' },
    seconds: { type: 'string', default: '30' },
  },
})
const tokens = Number(values.tokens)
const intervalMs = 1_000 / Number(values.rate)
/** Tokens that are sent with; each once, while they last. */
const usedTokens = 20_000
const warmUpMs = 3_000

const postgres = values.database === 'postgres' ? await startPostgres() : undefined
const agent = new Agent({ connections: 32 })
const places: Workplace[] = []

try {
  const target = await prepareGate()
  const control = await prepareGate()
  const file = join(target.place.folder, 'many.csv')
  await writeTokens(file, tokens, values.clear)

  await sendWhile([target, control], delay(warmUpMs))
  const before = await sendWhile([target, control], delay(Number(values.seconds) * 1_000))
  const startedAt = performance.now()
  const { pid, answer } = startImport(target.place, file)
  let peakMb = 0
  const watching = setInterval(() => {
    peakMb = Math.max(peakMb, peakOf(pid))
  }, 100)
  const meanwhile = await sendWhile([target, control], answer)
  clearInterval(watching)
  const seconds = round((performance.now() - startedAt) / 1_000)
  const { imported, receipt } = await answer
  const perSecond = Math.round(imported / seconds)
  const summary = { database: values.database, imported, seconds, perSecond, peakMb, receipt }
  console.log(JSON.stringify({ ...summary, before, meanwhile }, null, 1))
} finally {
  await agent.close()
  for (const place of places) await place.remove()
  await postgres?.stop()
}

interface Target {
  readonly place: Workplace
  readonly http: string
  readonly known: string
  readonly others: string[]
}

async function prepareGate(): Promise<Target> {
  const settings: Record<string, string> = { POSTERN_TOKEN_RATE: 'off', POSTERN_LOG_LEVEL: 'warn' }
  if (postgres !== undefined) settings.POSTERN_DATABASE_URL = await postgres.createDatabase()
  const place = createWorkplace(settings)
  places.push(place)
  place.environment.POSTERN_SEAL_KEY_FILE = join(place.folder, 'seal.key')
  writeFileSync(place.environment.POSTERN_SEAL_KEY_FILE, randomBytes(32).toString('base64'))
  await place.json('account', 'create', 'Acme')
  const { token } = await place.json('domain', 'add', 'acme.test')
  const file = join(place.folder, 'used.csv')
  const others = await writeTokens(file, usedTokens, true)
  await startImport(place, file, '--seal-tokens=false').answer
  const { ready } = await place.start('dev')
  return { place, http: ready.http, known: token.token, others }
}

function startImport(place: Workplace, file: string, ...more: string[]) {
  const args = [resolve('src/postern.js'), 'import', file, '--json', ...more]
  const child = spawn(process.execPath, args, {
    cwd: place.folder,
    env: place.environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return { pid: child.pid, answer: text(child.stdout).then((answer) => JSON.parse(answer)) }
}

/** Answers the tokens, as far as there are few enough to be used. */
async function writeTokens(name: string, count: number, inTheClear: boolean): Promise<string[]> {
  const made: string[] = []
  const file = createWriteStream(name)
  file.write(inTheClear ? 'name,token,domains\n' : 'name,sha256,domains\n')
  for (let i = 0; i < count; i += 1_000) {
    let lines = ''
    for (let j = i; j < Math.min(i + 1_000, count); j++) {
      const token = randomBytes(16).toString('hex')
      if (count <= usedTokens) made.push(token)
      lines += `customer ${j},${inTheClear ? token : hash('sha256', token)},acme.test:admin\n`
    }
    if (!file.write(lines)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'close')
  return made
}

async function send({ http, known, others }: Target, isKnown: boolean): Promise<number> {
  const bearerToken = isKnown ? known : (others.pop() ?? known)
  const { statusCode, body } = await request(`${http}/api/send`, {
    dispatcher: agent,
    method: 'POST',
    headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      from: { email: 'a@acme.test' },
      to: [{ email: 'b@c.test' }],
      subject: 'x',
      text: 'x',
    }),
  })
  await body.dump()
  return statusCode
}

async function sendWhile([target, control]: [Target, Target], until: Promise<unknown>) {
  const series = [
    { of: target, isKnown: true, took: [] as number[] },
    { of: control, isKnown: true, took: [] as number[] },
    { of: target, isKnown: false, took: [] as number[] },
    { of: control, isKnown: false, took: [] as number[] },
  ]
  const failed: Record<string, number> = {}
  const failedControl: Record<string, number> = {}
  let isOver = false
  void until.then(() => {
    isOver = true
  })
  const sending: Promise<void>[] = []
  const startedAt = performance.now()
  for (let i = 0; !isOver; i++) {
    const dueAt = startedAt + i * intervalMs
    await delay(Math.max(0, dueAt - performance.now()))
    // Neither gate is always the first to be sent to.
    for (const { of, isKnown, took } of i % 2 === 0 ? series : series.toReversed()) {
      const sent = send(of, isKnown).catch(String)
      sending.push(
        sent.then((status) => {
          took.push(performance.now() - dueAt)
          const counts = of === control ? failedControl : failed
          if (status !== 200) counts[status] = (counts[status] ?? 0) + 1
        }),
      )
    }
  }
  await Promise.all(sending)
  const [known, knownControl, lookedUp, lookedUpControl] = series.map(({ took }) => summarise(took))
  return {
    known,
    knownControl,
    lookedUp,
    lookedUpControl,
    p99Ratio: {
      known: round((known?.p99 ?? 0) / (knownControl?.p99 ?? 0)),
      lookedUp: round((lookedUp?.p99 ?? 0) / (lookedUpControl?.p99 ?? 0)),
    },
    failed,
    failedControl,
  }
}

function summarise(times: number[]) {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.floor(sorted.length * share)] ?? 0)
  return { sends: sorted.length, p50: at(0.5), p99: at(0.99), max: round(sorted.at(-1) ?? 0) }
}

/** The kernel keeps the highest that it ever was. */
function peakOf(pid: number | undefined): number {
  try {
    const kb = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return Math.round(Number(kb ?? 0) / 1_024)
  } catch {
    return 0
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
