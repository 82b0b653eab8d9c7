import { MailtrapClient } from 'mailtrap'
import { createTransport } from 'nodemailer'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  createWorkplace,
  type RunningProgram,
  runProgram,
  type Workplace,
} from '../helpers/program.ts'
import { requireProgram } from '../helpers/require-program.ts'

/** What a stranger does: starts it, sends with what it printed, and looks at the sink. */

let place: Workplace
let gate: RunningProgram

beforeAll(async () => {
  for (const name of ['swaks', 'curl'] as const) requireProgram(name)
  place = createWorkplace()
  gate = await place.start('dev')
}, 300_000)
afterAll(() => place.remove())
beforeEach(async () => {
  await fetch(`${gate.ready.sink.http}/messages`, { method: 'DELETE' })
})

async function arrived(): Promise<any[]> {
  return (await fetch(`${gate.ready.sink.http}/messages`)).json() as Promise<any[]>
}

/** The commands that the program printed, as a shell reads them. */
function printedCommand(protocol: 'http' | 'smtp'): string {
  const wanted = protocol === 'http' ? /^\s*(curl http.*)$/m : /^\s*(.*curl smtp.*)$/m
  const line = wanted.exec(gate.output())?.[1]
  if (line === undefined) throw new Error(`no ${protocol} line in: ${gate.output()}`)
  return line
}

const shell = (command: string) =>
  runProgram('/bin/sh', ['-c', command], { env: { PATH: process.env.PATH ?? '' } })

describe.each(['http', 'smtp'] as const)('the line printed for %s', (protocol) => {
  test('sends a message that arrives', async () => {
    const { status, stdout, stderr } = await shell(printedCommand(protocol))
    expect({ status, stderr }).toMatchObject({ status: 0 })
    if (protocol === 'http') expect(JSON.parse(stdout)).toMatchObject({ success: true })
    expect(await arrived()).toMatchObject([{ protocol, subject: 'Hello' }])
  })

  test('is refused with a wrong token, and nothing arrives', async () => {
    const { token } = gate.ready
    const wrong = token.slice(0, -1) + (token.endsWith('0') ? '1' : '0')
    const { stdout, stderr } = await shell(printedCommand(protocol).replaceAll(token, wrong))
    expect(stdout + stderr).toMatch(protocol === 'http' ? /Unauthorized/ : /denied/i)
    expect(await arrived()).toEqual([])
  })

  test('is refused with a foreign sender, and nothing arrives', async () => {
    const foreign = printedCommand(protocol).replaceAll('hello@example.com', 'hello@evil.test')
    const { stdout, stderr } = await shell(foreign)
    expect(stdout + stderr).toMatch(
      protocol === 'http' ? /Sending from domain evil.test is not allowed/ : /550/,
    )
    expect(await arrived()).toEqual([])
  })
})

describe('clients that people use, unmodified', () => {
  test('nodemailer sends over SMTP', async () => {
    const [host, port] = gate.ready.smtp.split(':')
    const transport = createTransport({
      host: host ?? '',
      port: Number(port),
      auth: { user: 'api', pass: gate.ready.token },
    })
    const info = await transport.sendMail({
      from: '"Hello" <hello@example.com>',
      to: ['you@example.net', 'me@example.net'],
      subject: 'From nodemailer',
      text: 'x',
      attachments: [{ filename: 'a.bin', content: Buffer.alloc(100_000, 7) }],
    })
    expect(info.accepted).toEqual(['you@example.net', 'me@example.net'])
    expect(await arrived()).toMatchObject([
      { subject: 'From nodemailer', tokenId: expect.anything() },
    ])
  })

  test('the mailtrap SDK sends one message and a batch', async () => {
    const client = new MailtrapClient({ token: gate.ready.token })
    ;(client as any).axios.interceptors.request.use((config: { url: string }) => {
      const url = new URL(config.url)
      return { ...config, url: gate.ready.http + url.pathname + url.search }
    })
    const mail = {
      from: { email: 'hello@example.com', name: 'Hello' },
      to: [{ email: 'you@example.net' }],
      subject: 'From the SDK',
      text: 'x',
    }
    expect(await client.send(mail)).toMatchObject({ success: true })
    const batch = await client.batchSend({
      base: { from: mail.from, subject: 'Batch', text: 'x' },
      requests: [{ to: [{ email: 'a@example.net' }] }, { to: [{ email: 'b@example.net' }] }],
    })
    expect(batch.responses).toHaveLength(2)
    await expect(client.send({ ...mail, from: { email: 'x@evil.test' } })).rejects.toThrow(
      'Sending from domain evil.test is not allowed',
    )
    expect(await arrived()).toHaveLength(2)
  })

  test('swaks sends, and is told why a foreign header From is refused', async () => {
    const common = [
      '--server',
      gate.ready.smtp,
      '--auth',
      'LOGIN',
      '--auth-user',
      'api',
      '--auth-password',
      gate.ready.token,
      '--to',
      'you@example.net',
      '--from',
      'hello@example.com',
    ]
    const sent = await runProgram('swaks', common, { env: { PATH: process.env.PATH ?? '' } })
    expect(sent.stdout).toMatch(/<- +250 .*queued/i)
    expect(sent.status).toBe(0)
    const refused = await runProgram('swaks', [...common, '--h-From', 'x@evil.test'], {
      env: { PATH: process.env.PATH ?? '' },
    })
    expect(refused.stdout).toContain('550 5.7.1 Sending from domain evil.test is not allowed')
    expect(await arrived()).toHaveLength(1)
  })
})

test('a token deleted by the CLI beside the gate is refused at once, over both protocols', async () => {
  const created = await place.jsonOfProcess(
    'token',
    'create',
    '--name',
    'short-lived',
    '--domain',
    'example.com',
  )
  const send = () =>
    fetch(`${gate.ready.http}/api/send`, {
      method: 'POST',
      headers: { 'api-token': created.token, 'content-type': 'application/json' },
      body: '{"from":{"email":"a@example.com"},"to":[{"email":"b@c.test"}],"subject":"x","text":"x"}',
    })
  expect((await send()).status).toBe(200)
  const deleted = await place.jsonOfProcess('token', 'delete', String(created.id))
  expect(deleted).toMatchObject({
    id: created.id,
    deleted: true,
    receipt: { epoch: expect.any(Number) },
  })
  expect((await send()).status).toBe(401)
})

test('health, metrics and keys are on the control plane, and not on the data plane', async () => {
  const { admin, http } = gate.ready
  for (const path of ['/livez', '/readyz', '/metrics', '/.well-known/jwks.json']) {
    expect((await fetch(admin + path)).status).toBe(200)
    expect((await fetch(http + path)).status).toBe(404)
  }
  const metrics = await (await fetch(`${admin}/metrics`)).text()
  expect(metrics).toMatch(
    /postern_decisions_total\{protocol="http",stage="message",outcome="allowed"\} \d/,
  )
  expect(metrics).not.toContain(gate.ready.token)
})

test('it starts again on the same data with the same token, and stops with status 0', async () => {
  const again = createWorkplace()
  try {
    const first = await again.start('dev')
    expect(await first.stop()).toBe(0)
    const second = await again.start('dev')
    expect(second.ready.token).toBe(first.ready.token)
    expect(await second.stop('SIGINT')).toBe(0)
  } finally {
    await again.remove()
  }
})
