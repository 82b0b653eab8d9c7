import { type ChildProcess, spawn } from 'node:child_process'
import { resolve } from 'node:path'
import nodemailer from 'nodemailer'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createWorkplace, type Workplace } from '../helpers/program.ts'

/** The examples of docs/examples, run as they stand, on a database that the command line made. */

let place: Workplace
let token: string

beforeAll(async () => {
  place = createWorkplace()
  await place.json('account', 'create', 'Acme')
  const domain = await place.json('domain', 'add', 'acme.test')
  token = domain.token.token
})
afterAll(() => place.remove())

function run(example: string, ...args: string[]): { child: ChildProcess; output: () => string } {
  const file = resolve(`docs/examples/${example}`)
  const child = spawn(process.execPath, ['--conditions=postern-source', file, ...args], {
    env: { ...place.environment, PORT: '0', DATABASE: `sqlite:${place.folder}/data/postern.db` },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  onTestFinished(() => void child.kill())
  return { child, output: () => output }
}

async function startExample(example: string): Promise<{ port: number; output: () => string }> {
  const { child, output } = run(example)
  const port = await new Promise<number>((started, failed) => {
    child.once('exit', () => failed(new Error(`${example} ended: ${output()}`)))
    child.stdout?.on('data', () => {
      const found = /listening on (\d+)/.exec(output())?.[1]
      if (found !== undefined) started(Number(found))
    })
  })
  return { port, output }
}

test('decide.ts asks one question', async () => {
  async function ask(...args: string[]) {
    const { child, output } = run('decide.ts', ...args)
    await new Promise((done) => child.once('close', done))
    return output().trim()
  }
  expect(await ask(token, 'Acme.test')).toMatch(/^token \d+$/)
  expect(await ask(token, 'other.test')).toBe('unknown-domain')
  expect(await ask('pst_wrong', 'acme.test')).toBe('refused: no token, or no domain')
})

test('hono-app.ts lets through what the token may send, and its handler reads the body', async () => {
  const { port } = await startExample('hono-app.ts')
  async function send(bearerToken: string, domain: string) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/send`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bearerToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ from: { email: `a@${domain}` }, subject: 'Hello' }),
    })
    return { status: answer.status, body: await answer.json() }
  }
  expect(await send(token, 'acme.test')).toEqual({
    status: 200,
    body: { success: true, token: expect.any(Number), subject: 'Hello' },
  })
  expect((await send(token, 'other.test')).status).toBe(403)
  expect((await send('wrong', 'acme.test')).status).toBe(401)
})

test('smtp-server.ts lets through what the token may send', async () => {
  const { port, output } = await startExample('smtp-server.ts')
  function send(pass: string, from: string, envelopeFrom = from) {
    const transport = nodemailer.createTransport({
      host: '127.0.0.1',
      port,
      auth: { user: 'api', pass },
    })
    return transport.sendMail({
      from,
      to: 'you@example.net',
      text: 'Hello',
      envelope: { from: envelopeFrom, to: 'you@example.net' },
    })
  }
  expect((await send(token, 'a@acme.test')).response).toBe('250 Taken')
  expect(output()).toMatch(/token \d+ sent \d+ bytes/)
  await expect(send('wrong', 'a@acme.test')).rejects.toMatchObject({ responseCode: 535 })
  await expect(send(token, 'a@other.test')).rejects.toMatchObject({ responseCode: 550 })
  await expect(send(token, 'a@other.test', 'a@acme.test')).rejects.toMatchObject({
    response: '550 5.7.1 Sending from domain other.test is not allowed',
  })
})
