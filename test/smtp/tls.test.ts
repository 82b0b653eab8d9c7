import nodemailer from 'nodemailer'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { RenewableCertificate, SmtpLimits } from '../../smtp/server.ts'
import { createSeats } from '../../src/limits/seats.ts'
import { type Certificate, createCertificate } from '../helpers/certificate.ts'
import { createMemoryLookup } from '../helpers/memory-lookup.ts'
import { type ScriptedRelay, startScriptedRelay } from '../helpers/scripted-relay.ts'
import { connectSmtp, plain } from '../helpers/smtp-client.ts'
import { startSmtpGateway } from '../helpers/smtp-gateway.ts'

const token = '4c2446b6e0f911ec94870a58a9feac02'
const certificate: Certificate = createCertificate('gate.test')
const encryptionRequired = '538 5.7.11 Encryption required for authentication: use STARTTLS'

let relay: ScriptedRelay
let gate: Awaited<ReturnType<typeof startSmtpGateway>>
let renew: (pair: Certificate) => void

async function start(
  allowInsecureAuth: boolean,
  tls?: RenewableCertificate,
  limits: SmtpLimits = {},
) {
  const lookup = createMemoryLookup()
  lookup.allow(token, ['ok.test'])
  relay = await startScriptedRelay()
  onTestFinished(() => relay.close())
  const listener = { host: '127.0.0.1', port: 0, stream: 'transactional' } as const
  const listeners = [{ ...listener, implicitTls: false }]
  if (tls !== undefined) listeners.push({ ...listener, implicitTls: true })
  gate = await startSmtpGateway(lookup, relay.port, {
    listeners,
    allowInsecureAuth,
    limits,
    ...(tls !== undefined && { tls }),
  })
}

function renewable(): RenewableCertificate {
  return {
    current: () => certificate,
    onChange(listener) {
      renew = listener
      return () => {}
    },
  }
}

describe('before TLS', () => {
  beforeEach(() => start(false, renewable()))

  test('AUTH is neither listed nor taken, so that no token is shown', async () => {
    const client = await connectSmtp(gate.address)
    const extensions = await client.say('EHLO client.test')
    expect(extensions).toContain('250-STARTTLS')
    expect(extensions).not.toContain('AUTH')
    expect(await client.say(plain(token))).toBe(encryptionRequired)
    expect(await client.say('AUTH LOGIN')).toBe(encryptionRequired)
    expect(await client.say('MAIL FROM:<a@ok.test>')).toBe('530 5.7.0 Authentication required')
  })

  test('what was pipelined behind STARTTLS does not survive it (CVE-2011-0411)', async () => {
    const client = await connectSmtp(gate.address)
    await client.say('EHLO client.test')
    client.write(`STARTTLS\r\nEHLO injected.test\r\n${plain(token)}\r\nMAIL FROM:<a@ok.test>\r\n`)
    expect(await client.reply()).toMatch(/^220 /)
    await client.upgrade().catch(() => {})
    client.write('MAIL FROM:<a@ok.test>\r\n')
    const answer = await client.reply().catch(() => 'closed')
    expect(answer).toMatch(/^closed$|^503 |^530 /)
    expect(relay.connections).toBe(0)
  })
})

describe('between STARTTLS and TLS', () => {
  beforeEach(() => start(false, renewable()))

  test('nothing is said, not even that the gate closes', async () => {
    const client = await connectSmtp(gate.address)
    expect(await client.say('STARTTLS')).toMatch(/^220 /)
    await gate.close(0)
    expect(await client.ended()).toBe('')
  })
})

describe('with TLS', () => {
  beforeEach(() => start(false, renewable()))

  test('AUTH is listed, and everything said before is forgotten', async () => {
    const client = await connectSmtp(gate.address)
    await client.say('EHLO client.test')
    expect(await client.say('STARTTLS')).toMatch(/^220 /)
    await client.upgrade()
    expect(await client.say('MAIL FROM:<a@ok.test>')).toMatch(/^503 /)
    expect(await client.say('EHLO client.test')).toContain('AUTH PLAIN LOGIN')
    expect(await client.say(plain(token))).toMatch(/^235 /)
    await client.say('MAIL FROM:<a@ok.test>')
    await client.say('RCPT TO:<b@c.test>')
    await client.say('DATA')
    client.write('From: a@ok.test\r\n\r\nx\r\n.\r\n')
    expect(await client.reply()).toMatch(/^250 /)
    expect(relay.messages[0]?.toString()).toContain('with ESMTPSA')
  })

  test('replies to what came with STARTTLS are sent before TLS begins', async () => {
    const client = await connectSmtp(gate.address)
    client.write('EHLO client.test\r\nNOOP\r\nSTARTTLS\r\n')
    expect(await client.reply()).toContain('250-STARTTLS')
    expect(await client.reply()).toMatch(/^250 /)
    expect(await client.reply()).toMatch(/^220 /)
    await client.upgrade()
    expect(await client.say('EHLO client.test')).toContain('AUTH PLAIN LOGIN')
  })

  test('nodemailer sends over STARTTLS and over implicit TLS', async () => {
    for (const [i, address] of gate.addresses.entries()) {
      const [host, port] = address.split(':')
      const transport = nodemailer.createTransport({
        host: host ?? '',
        port: Number(port),
        secure: i === 1,
        requireTLS: true,
        auth: { user: 'api', pass: token },
        tls: { ca: certificate.cert, servername: 'gate.test' },
      })
      const sent = await transport.sendMail({
        from: 'A <a@ok.test>',
        to: 'b@c.test',
        subject: 'Grüße',
        text: '.\nHello\n..\n',
        attachments: [{ filename: 'x.bin', content: Buffer.alloc(100_000, 7) }],
      })
      expect(sent.response).toBe('250 2.6.0 Taken as R1')
      transport.close()
    }
    expect(relay.messages).toHaveLength(2)
  })

  test('a renewed certificate is served to new connections', async () => {
    const renewed = createCertificate('renewed.test')
    renew(renewed)
    for (const [i, address] of gate.addresses.entries()) {
      const client = await connectSmtp(address, { implicitTls: i === 1 })
      if (i === 0) {
        await client.say('EHLO client.test')
        await client.say('STARTTLS')
        await client.upgrade()
      }
      const socket = client.socket() as import('node:tls').TLSSocket
      expect(socket.getPeerCertificate().subject.CN).toBe('renewed.test')
    }
  })
})

describe('without a certificate', () => {
  test('there is no STARTTLS, and no AUTH either', async () => {
    await start(false)
    const client = await connectSmtp(gate.address)
    expect(await client.say('EHLO client.test')).not.toMatch(/STARTTLS|AUTH/)
    expect(await client.say('STARTTLS')).toMatch(/^500 /)
    expect(await client.say(plain(token))).toBe(encryptionRequired)
  })
})

test.each([
  ['with', renewable()],
  ['without', undefined],
])('AUTH in the clear is taken where it is allowed, %s a certificate', async (_name, tls) => {
  await start(true, tls)
  const client = await connectSmtp(gate.address)
  expect(await client.say('EHLO client.test')).toContain('AUTH PLAIN LOGIN')
  expect(await client.say(plain(token))).toMatch(/^235 /)
})

test('a connection gives its seats back when it closes, also after STARTTLS', async () => {
  await start(false, renewable(), { clientSeats: createSeats(1), accountSeats: createSeats(1) })
  async function session() {
    const client = await connectSmtp(gate.address)
    if (!client.greeting.startsWith('220 ')) return client.greeting
    await client.say('EHLO client.test')
    await client.say('STARTTLS')
    await client.upgrade()
    await client.say('EHLO client.test')
    const reply = await client.say(plain(token))
    client.socket().destroy()
    return reply
  }
  for (let i = 0; i < 3; i++) await expect.poll(session, { timeout: 5_000 }).toMatch(/^235 /)
})
