import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { parseArgs } from 'node:util'
import { noLimits } from '../helpers/no-limits.ts'
import { createWorkplace } from '../helpers/program.ts'
import { createRefusedTokens, type RefusedKind, refusedKinds } from './refused-tokens.ts'

/**
 * `npm run refusal-times -- --tokens N`: how long a gate takes to refuse tokens of each kind, over HTTP and SMTP, the first
 * time that it sees one and again. No test, since what it says depends on the machine.
 */
const { values } = parseArgs({ options: { tokens: { type: 'string', default: '100' } } })
const count = Number(values.tokens)

const place = createWorkplace()
try {
  await place.json('account', 'create', 'Acme')
  await place.json('domain', 'add', 'acme.test')
  const gate = await place.start('dev', noLimits)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })

  const overHttp = (token: string) =>
    timed((done) => {
      const outgoing = request(`${gate.ready.http}/api/send`, {
        ...{ agent, method: 'POST' },
        headers: { authorization: `Bearer ${token}`, 'content-length': 0 },
      })
      outgoing.on('response', (answer) => answer.resume().on('end', done)).end()
    })

  const tokens = await createRefusedTokens(place, gate, count * 2)
  const [forHttp, forSmtp] = [tokens.slice(0, count), tokens.slice(count)]
  // The code paths, and not their compilation.
  for (let i = 0; i < 500; i++) await overHttp(tokens[0]?.malformed ?? '')

  const first = emptyTimes()
  const again = emptyTimes()
  for (const set of forHttp) {
    for (const kind of shuffled(refusedKinds)) {
      first[kind].push(await overHttp(set[kind]))
      again[kind].push(await overHttp(set[kind]))
    }
  }
  report('HTTP, first seen', first)
  report('HTTP, again', again)

  const smtp = emptyTimes()
  for (const set of forSmtp) {
    const client = await openSmtp(gate.ready.smtp)
    // Four: the fifth failure would close the connection.
    for (const kind of shuffled(refusedKinds)) {
      const response = Buffer.from(`\0api\0${set[kind]}`).toString('base64')
      smtp[kind].push(await timed((done) => client.say(`AUTH PLAIN ${response}`, done)))
    }
    client.close()
  }
  report('SMTP, first seen', smtp)
  agent.destroy()
} finally {
  await place.remove()
}

type Times = Readonly<Record<RefusedKind, number[]>>

function emptyTimes(): Times {
  return { unknown: [], malformed: [], expired: [], deleted: [] }
}

/** In microseconds. */
function timed(work: (done: () => void) => void): Promise<number> {
  return new Promise((resolve) => {
    const startedAt = performance.now()
    work(() => resolve((performance.now() - startedAt) * 1_000))
  })
}

function shuffled<T>(list: readonly T[]): T[] {
  return list
    .map((one) => ({ one, place: Math.random() }))
    .sort((a, b) => a.place - b.place)
    .map(({ one }) => one)
}

/** A client that waits for one whole reply after each line. */
async function openSmtp(address: string) {
  const [host = '', port] = address.split(':')
  const socket = connect({ host, port: Number(port) }).setNoDelay(true)
  let heard = ''
  let onReply = () => {}
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
    if (!/^(\d{3}-.*\r\n)*\d{3} .*\r\n$/.test(heard)) return
    heard = ''
    onReply()
  })
  await new Promise<void>((resolve) => {
    onReply = resolve
  })
  const say = (line: string, done: () => void) => {
    onReply = done
    socket.write(`${line}\r\n`)
  }
  await new Promise<void>((resolve) => say('EHLO client.test', resolve))
  return { say, close: () => socket.destroy() }
}

/** How often one of the kind took longer than one that is unknown: 50 % is no difference. */
function slowerThanUnknown(times: Times, kind: RefusedKind): number {
  const pairs = times[kind].flatMap((one) => times.unknown.map((other) => (one > other ? 1 : 0)))
  return pairs.reduce<number>((sum, pair) => sum + pair, 0) / pairs.length
}

function report(title: string, times: Times) {
  console.log(`${title} (${count} of each, µs)`)
  console.log('             p10    p50    p90   slower than unknown')
  for (const kind of refusedKinds) {
    const sorted = times[kind].toSorted((a, b) => a - b)
    const at = [0.1, 0.5, 0.9].map((part) => sorted[Math.floor(part * sorted.length)] ?? 0)
    const shown = at.map((time) => time.toFixed(0).padStart(7)).join('')
    const share = `${(slowerThanUnknown(times, kind) * 100).toFixed(0)} %`.padStart(14)
    console.log(`${kind.padEnd(9)}${shown}${share}`)
  }
}
