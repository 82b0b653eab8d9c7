import { expect } from 'vitest'
import { noteFirstAnswer } from '../helpers/answer-log.ts'
import { readAnswers } from '../helpers/raw-http.ts'
import { type Case, endsItself, type Names, type Step } from './case-file.ts'
import { openDialogue, readHttpAnswer } from './dialogue.ts'
import { type ConformanceGate, ownedDomains } from './gate.ts'
import { bodySenders } from './readings.ts'

/** Takes one case over HTTP through the gate, and judges it and what holds for every case. */
export async function runHttpCase(one: Case, gate: ConformanceGate, names: Names) {
  gate.forget()
  await converse(one, gate, names)
  await sendCanary(gate, names)
  judgeUpstream(one, gate)
}

async function converse({ form, start, steps }: Case, gate: ConformanceGate, names: Names) {
  const dialogue = openDialogue(gate.http, readHttpAnswer)
  try {
    for (const step of steps) {
      await dialogue.take(form === 'json' ? asRequest(step, start, names) : step)
    }
    if (!endsItself(steps)) {
      // Nothing is left over: the next request on the connection is read as what it is.
      await dialogue.send('GET /nowhere HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n')
      expect((await dialogue.answer('404 to the next request')).code).toBe(404)
      await dialogue.closed()
    }
    const request =
      form === 'json' ? `POST ${start} HTTP/1.1\r\n` : sentIn(steps).toString('latin1')
    const said = dialogue.answers.map(({ text }) => text).join('')
    noteFirstAnswer(request, readAnswers(Buffer.from(said))[0])
    for (const { code, text } of dialogue.answers) judgeAnswer(code, text)
  } finally {
    dialogue.destroy()
  }
}

function asRequest(step: Step, path: string, names: Names): Step {
  if (step.kind !== 'send') return step
  const head = [
    `POST ${path} HTTP/1.1`,
    'Host: gate.test',
    `Authorization: Bearer ${names.token}`,
    'Content-Type: application/json',
    `Content-Length: ${step.bytes.length}`,
  ]
  const bytes = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), step.bytes])
  return { kind: 'send', bytes }
}

/** Always JSON, in one shape, and never a failure of its own. */
function judgeAnswer(code: number, text: string) {
  if (code < 200) return
  expect(code).toBeLessThan(500)
  const [head = '', body = ''] = text.split('\r\n\r\n')
  expect(head).toMatch(/^content-type: application\/json/im)
  const parsed = JSON.parse(body)
  if (code === 200) return expect(parsed.success).toBe(true)
  expect(parsed.success).toBe(false)
  expect(parsed.errors.length).toBeGreaterThan(0)
  for (const error of parsed.errors) expect(error).toEqual(expect.stringMatching(/\S/))
  if (code === 401) expect(head).toMatch(/^www-authenticate: Bearer/im)
}

const canary = '{"from":{"email":"a@ok.test"},"subject":"the canary"}'

/** Another client's request, right behind: it is served, and gets nothing of what the case left lying about. */
async function sendCanary(gate: ConformanceGate, names: Names) {
  const send: Step = { kind: 'send', bytes: Buffer.from(canary) }
  const dialogue = openDialogue(gate.http, readHttpAnswer)
  await dialogue.take(asRequest(send, '/api/send', names))
  expect((await dialogue.answer('200 to the canary')).code).toBe(200)
  dialogue.destroy()
  expect(gate.api.requests.pop()?.body.toString()).toBe(canary)
}

function judgeUpstream({ form, steps, upstream }: Case, { api, relay }: ConformanceGate) {
  expect(api.complaints).toEqual([])
  expect(relay.commands).toEqual([])
  const senders = api.requests.map(({ line, body }) =>
    line.startsWith('GET') ? ['none'] : bodySenders(body, { isBatch: line.includes('batch') }),
  )
  for (const domain of senders.flat()) expect([...ownedDomains, 'none']).toContain(domain)
  expect(senders).toEqual(upstream.map((domains) => [...domains].sort()))
  const sent = sentIn(steps)
  for (const { body } of api.requests) {
    if (form === 'json') expect(body.equals(sent)).toBe(true)
    // Chunks are put together again; every other body goes on as it stands in what the client wrote.
    else if (!/chunked/i.test(sent.toString('latin1'))) expect(sent.includes(body)).toBe(true)
  }
}

function sentIn(steps: readonly Step[]): Buffer {
  return Buffer.concat(steps.map((step) => (step.kind === 'send' ? step.bytes : Buffer.of())))
}
