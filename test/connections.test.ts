import { connect } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { startHttpGateway } from './helpers/http-gateway.ts'
import { createMemoryLookup } from './helpers/memory-lookup.ts'
import { connectSmtp } from './helpers/smtp-client.ts'
import { startSmtpGateway } from './helpers/smtp-gateway.ts'
import { watchAcceptedSockets } from './helpers/sockets.ts'

/** Who keeps a list of connections takes them off it. */

test('an SMTP connection that is over is held on to by nobody', async () => {
  const { address } = await startSmtpGateway(createMemoryLookup(), 1)
  const held = watchAcceptedSockets()
  for (let i = 0; i < 5; i++) {
    const client = await connectSmtp(address)
    expect(held()).toBeGreaterThan(0)
    await client.say('QUIT')
    await client.ended()
    ;(await connectSmtp(address)).socket().end()
  }
  await vi.waitFor(() => expect(held()).toBe(0), 10_000)
})

test('an HTTP connection that is over is held on to by nobody', async () => {
  const gate = await startHttpGateway(createMemoryLookup(), 'http://127.0.0.1:1')
  onTestFinished(() => gate.close())
  const held = watchAcceptedSockets()
  for (let i = 0; i < 5; i++) {
    const answer = await fetch(`${gate.url}/api/send`, { headers: { Connection: 'close' } })
    await answer.text()
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(gate.url).port), '127.0.0.1', () => socket.end())
      socket.on('close', () => resolve())
    })
  }
  await vi.waitFor(() => expect(held()).toBe(0), 10_000)
})
