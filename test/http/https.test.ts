import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { expect, test } from 'vitest'
import { createGatewayServer } from '../../middleware/server.ts'
import { createCertificate } from '../helpers/certificate.ts'

const certificate = createCertificate()

async function startServer() {
  const server = createGatewayServer(
    {
      listener: (_incoming, outgoing) => outgoing.end('{}'),
      clock: { monotonic: () => performance.now() },
      metrics: { answered() {}, inFlight() {} },
    },
    { host: '127.0.0.1', port: 0, tls: certificate, maxDrainBytes: 0 },
  )
  const { port } = await server.listen()
  return { server, port }
}

test('a client that never finishes its handshake does not hold up the shutdown', async () => {
  const { server, port } = await startServer()
  const accepted = once(server.server, 'connection')
  const silent = connect(port, '127.0.0.1').on('error', () => {})
  await accepted
  await server.close(100)
  silent.destroy()
})

test('what is no TLS, and what is no HTTP inside it, leaves others served', async () => {
  const { server, port } = await startServer()
  const plain = connect(port, '127.0.0.1').on('error', () => {})
  plain.end('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  await new Promise((resolve) => plain.resume().once('close', resolve))
  for (const [request, status] of [
    ['nonsense\r\n\r\n', 400],
    ['CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 404],
    ['GET / HTTP/1.1\r\nHost: a\r\n\r\n', 200],
  ] as const) {
    const client = connectTls({ port, host: '127.0.0.1', ca: certificate.cert })
    client.write(request)
    const [answer] = await once(client, 'data')
    expect(String(answer)).toContain(`HTTP/1.1 ${status} `)
    client.destroy()
  }
  await server.close(100)
})
