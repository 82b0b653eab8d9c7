import { Agent, get } from 'node:http'
import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { connectSmtp } from '../helpers/smtp-client.ts'
import { startTestSink } from './start-test-sink.ts'

test('the addresses are ones that a client on this machine can use', async () => {
  const sink = await startTestSink({ httpListen: { host: '0.0.0.0', port: 0 } })
  expect(sink.http).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect(sink.smtp).toMatch(/^127\.0\.0\.1:\d+$/)
  expect((await fetch(sink.page)).status).toBe(200)
})

test('closing ends idle connections, and both ports are free afterwards', async () => {
  const sink = await startTestSink()
  const agent = new Agent({ keepAlive: true })
  onTestFinished(() => agent.destroy())
  await new Promise<void>((resolve) =>
    get(sink.page, { agent }, (answer) => answer.resume().once('end', resolve)),
  )
  const client = await connectSmtp(sink.smtp)
  const farewell = client.reply()
  await sink.close()
  expect(await farewell).toBe('421 4.4.2 The sink is closing')
  for (const address of [new URL(sink.http).host, sink.smtp]) {
    expect(await connectError(address)).toBe('ECONNREFUSED')
  }
})

test('closing does not wait for a client that never finishes', async () => {
  const sink = await startTestSink()
  const http = connect(Number(new URL(sink.http).port), '127.0.0.1')
  const ended = new Promise((resolve) => http.once('error', () => {}).once('close', resolve))
  // `Expect` has the server answer before the body, so that the request is known to be in flight.
  const head = 'POST /api/send HTTP/1.1\r\nHost: sink\r\nContent-Length: 9\r\nExpect: 100-continue'
  http.write(`${head}\r\n\r\n`)
  await new Promise((resolve) => http.once('data', resolve))
  const smtp = await connectSmtp(sink.smtp)
  await smtp.say('EHLO gate.test')
  await smtp.say('MAIL FROM:<a@example.com>')
  await smtp.say('RCPT TO:<b@mail.test>')
  await smtp.say('DATA')
  await sink.close()
  await ended
  expect(sink.mailbox.list()).toEqual([])
})

test('a port that is taken is an error, and nothing is left listening', async () => {
  const first = await startTestSink()
  const taken = { host: '127.0.0.1', port: Number(new URL(first.http).port) }
  await expect(startTestSink({ httpListen: taken })).rejects.toThrow('EADDRINUSE')
  await expect(startTestSink({ smtpListen: taken })).rejects.toThrow('EADDRINUSE')
})

function connectError(address: string): Promise<string | undefined> {
  const [host, port] = address.split(':')
  return new Promise((resolve) => {
    const socket = connect(Number(port), host)
    socket.once('connect', () => {
      socket.destroy()
      resolve(undefined)
    })
    socket.once('error', (fault: NodeJS.ErrnoException) => resolve(fault.code))
  })
}
