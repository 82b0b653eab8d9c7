import { connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createCertificate } from '../helpers/certificate.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'

/** When a client is greeted is the operator's choice. */

const greeting = '220 gate.test ESMTP Postern'

async function start(greetingDelayMs: number | undefined) {
  const relay = await startScriptedRelay()
  onTestFinished(() => relay.close())
  const certificate = createCertificate('gate.test')
  const listener = { host: '127.0.0.1', port: 0, stream: 'transactional' } as const
  return startSmtpGateway(createMemoryLookup(), relay.port, {
    listeners: [
      { ...listener, implicitTls: false },
      { ...listener, implicitTls: true },
    ],
    tls: { current: () => certificate, onChange: () => () => {} },
    greetingDelayMs,
  })
}

/** From now on no timer runs by itself. */
function stopTimers() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
}

/** What a client hears that says all it has at once, until the server hangs up. */
function talkSoon(address: string, ...lines: string[]): Promise<string> {
  const [host = '', port] = address.split(':')
  const socket = connect({ host, port: Number(port) })
  let heard = ''
  socket.write(lines.map((line) => `${line}\r\n`).join(''))
  socket.on('data', (chunk) => {
    heard += chunk.toString()
  })
  return new Promise((resolve) => socket.on('close', () => resolve(heard)))
}

test('without a delay a client is greeted though no time passes, in the clear and over TLS', async () => {
  const { addresses } = await start(0)
  stopTimers()
  const [plain = '', implicitTls = ''] = addresses
  expect((await connectSmtp(plain)).greeting).toBe(greeting)
  expect((await connectSmtp(implicitTls, { implicitTls: true })).greeting).toBe(greeting)
})

test('without a delay a client that does not wait for its greeting is served all the same', async () => {
  const { address } = await start(0)
  const heard = await talkSoon(address, 'NOOP', 'QUIT')
  expect(heard).toBe(`${greeting}\r\n250 2.0.0 OK\r\n221 2.0.0 Bye\r\n`)
})

test.each([undefined, 50, 30_000])(
  'with %s ms one that talks sooner is turned away',
  async (delayMs) => {
    const { address } = await start(delayMs)
    stopTimers()
    const heard = await talkSoon(address, 'EHLO client.test')
    expect(heard).toBe('421 4.7.0 gate.test You talk too soon\r\n')
  },
)

test('a delay of the operator’s own is kept: the greeting comes after it, once', async () => {
  const { address } = await start(30_000)
  stopTimers()
  const connecting = connectSmtp(address)
  let isGreeted = false
  void connecting.then(() => {
    isGreeted = true
  })
  // The timers of this connection are there once it is.
  while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve))
  vi.advanceTimersByTime(29_999)
  await new Promise((resolve) => setImmediate(resolve))
  expect(isGreeted).toBe(false)
  vi.advanceTimersByTime(1)
  const client = await connecting
  expect(client.greeting).toBe(greeting)
  expect(await client.say('NOOP')).toBe('250 2.0.0 OK')
})

test('a connection that is over leaves no timer behind that would hold on to it', async () => {
  const { address } = await start(0)
  stopTimers()
  const client = await connectSmtp(address)
  expect(await client.say('QUIT')).toMatch(/^221 /)
  await client.ended()
  while (vi.getTimerCount() > 0) await new Promise((resolve) => setImmediate(resolve))
})
