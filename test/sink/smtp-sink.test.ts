import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import nodemailer from 'nodemailer'
import { expect, onTestFinished, test } from 'vitest'
import type { Sink } from '../../src/sink/sink.ts'
import { connectSmtp } from '../helpers/smtp-client.ts'
import { startTestSink } from './start-test-sink.ts'

function transport(sink: Sink, options: { user?: string; authMethod?: string; tls?: true } = {}) {
  const [host, port] = sink.smtp.split(':')
  return nodemailer.createTransport({
    host: host ?? '',
    port: Number(port),
    ...(options.tls ? { requireTLS: true, tls: { rejectUnauthorized: false } } : {}),
    ...(options.user === undefined ? {} : { auth: { user: options.user, pass: 'anything' } }),
    ...(options.authMethod === undefined ? {} : { authMethod: options.authMethod }),
  })
}

test('a message is kept with its envelope, and the answer carries its id', async () => {
  const sink = await startTestSink()
  const sent = await transport(sink).sendMail({
    from: 'Grüße GmbH <hello@example.com>',
    to: ['a@mail.test', 'b@mail.test'],
    envelope: { from: 'bounce@example.org', to: ['a@mail.test', 'b@mail.test'] },
    subject: 'Über die Bestellung, deren Betreff so lang ist, dass er gefaltet werden muss: 1042',
    text: 'Schöne Grüße',
    html: '<p>Schöne <b>Grüße</b></p>',
    attachments: [{ filename: 'a.html', content: '<p>not the body</p>' }],
    headers: { 'Postern-Token-Id': '4231', 'Postern-Account-Id': '7' },
  })
  const kept = await sink.mailbox.waitFor(({ protocol }) => protocol === 'smtp', 5000)
  expect(sent.response).toBe(`250 2.0.0 Ok: queued as ${kept.id}`)
  expect(kept).toMatchObject({
    senders: ['bounce@example.org', 'hello@example.com'],
    recipients: ['a@mail.test', 'b@mail.test'],
    headerFrom: 'Grüße GmbH <hello@example.com>',
    subject: 'Über die Bestellung, deren Betreff so lang ist, dass er gefaltet werden muss: 1042',
    mailFrom: { address: 'bounce@example.org', parameters: {} },
    rcptTo: [
      { address: 'a@mail.test', parameters: {} },
      { address: 'b@mail.test', parameters: {} },
    ],
    username: null,
    secure: false,
    tokenId: '4231',
    accountId: '7',
  })
  expect(kept.text?.trim()).toBe('Schöne Grüße')
  expect(kept.html?.trim()).toBe('<p>Schöne <b>Grüße</b></p>')
})

test('what an upstream of ours needs is advertised', async () => {
  const sink = await startTestSink()
  const client = await connectSmtp(sink.smtp)
  expect((await client.say('EHLO gate.test')).split('\n')).toEqual([
    '250-postern-sink',
    '250-PIPELINING',
    '250-8BITMIME',
    '250-SMTPUTF8',
    '250-ENHANCEDSTATUSCODES',
    '250-DSN',
    '250-AUTH LOGIN PLAIN',
    '250 SIZE 50000000',
  ])
})

test('the bytes of a message and the parameters of its envelope are kept as they arrived', async () => {
  const sink = await startTestSink()
  const client = await connectSmtp(sink.smtp)
  await client.say('EHLO gate.test')
  await client.say('MAIL FROM:<jörg@example.com> SMTPUTF8 BODY=8BITMIME RET=HDRS ENVID=e1')
  await client.say('RCPT TO:<a@mail.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@mail.test')
  await client.say('DATA')
  const raw = 'From: x@example.com\r\nX: bare\nfeed \xe9\r\n\r\n..dot\r\n'
  client.socket().write(Buffer.from(raw.replace('\r\n..', '\r\n...'), 'latin1'))
  expect(await client.say('.')).toMatch(/^250 2\.0\.0 Ok: queued as /)
  const [kept] = sink.mailbox.list()
  expect(Buffer.from(kept?.raw ?? []).toString('latin1')).toBe(raw)
  expect(kept).toMatchObject({
    helo: 'gate.test',
    mailFrom: {
      address: 'jörg@example.com',
      parameters: { SMTPUTF8: true, BODY: '8BITMIME', RET: 'HDRS', ENVID: 'e1' },
    },
    rcptTo: [
      {
        address: 'a@mail.test',
        parameters: { NOTIFY: 'SUCCESS,FAILURE', ORCPT: 'rfc822;a@mail.test' },
      },
    ],
  })
})

test('the null envelope sender is kept as an empty address', async () => {
  const sink = await startTestSink()
  await transport(sink).sendMail({ envelope: { from: '', to: 'a@mail.test' }, raw: 'Subject: x' })
  expect(sink.mailbox.list()[0]).toMatchObject({
    mailFrom: { address: '' },
    senders: [],
    subject: 'x',
  })
})

test.for(['PLAIN', 'LOGIN'])(
  'any credential passes with AUTH %s, and its name is kept',
  async (authMethod) => {
    const sink = await startTestSink()
    const options = { user: 'relay-user', authMethod }
    await transport(sink, options).sendMail({ from: 'a@example.com', to: 'b@mail.test', text: 'x' })
    expect(sink.mailbox.list()[0]).toMatchObject({ username: 'relay-user' })
  },
)

test('STARTTLS is offered only with a certificate', async () => {
  const bare = await startTestSink()
  const mail = { from: 'a@example.com', to: 'b@mail.test', text: 'x' }
  await expect(transport(bare, { tls: true }).sendMail(mail)).rejects.toThrow(/STARTTLS/)

  const secured = await startTestSink({ tls: makeCertificate() })
  await transport(secured, { tls: true, user: 'relay-user' }).sendMail(mail)
  expect(secured.mailbox.list()[0]).toMatchObject({ secure: true, username: 'relay-user' })
})

test('a message announced above 50 MB is refused at MAIL', async () => {
  const sink = await startTestSink()
  const client = await connectSmtp(sink.smtp)
  await client.say('EHLO gate.test')
  expect(await client.say('MAIL FROM:<a@example.com> SIZE=50000001')).toMatch(/^552 5\.3\.4 /)
})

test('a message that grows above 50 MB is refused with 552 and not kept', async () => {
  const sink = await startTestSink()
  const client = await connectSmtp(sink.smtp)
  await client.say('EHLO gate.test')
  await client.say('MAIL FROM:<a@example.com>')
  await client.say('RCPT TO:<b@mail.test>')
  await client.say('DATA')
  client.socket().write(Buffer.alloc(50_000_000, 'x'))
  expect(await client.say('\r\n.')).toMatch(/^552 5\.3\.4 /)
  expect(sink.mailbox.list()).toEqual([])
})

test('a client that leaves in the middle of its message harms nobody', async () => {
  const sink = await startTestSink()
  const client = await connectSmtp(sink.smtp)
  await client.say('EHLO gate.test')
  await client.say('MAIL FROM:<a@example.com>')
  await client.say('RCPT TO:<b@mail.test>')
  await client.say('DATA')
  const closed = new Promise((resolve) => client.socket().once('close', resolve))
  client.socket().write('Subject: half', () => client.socket().resetAndDestroy())
  await closed
  await transport(sink).sendMail({ from: 'a@example.com', to: 'b@mail.test', subject: 'whole' })
  expect(sink.mailbox.list().map(({ subject }) => subject)).toEqual(['whole'])
})

function makeCertificate(): { key: Buffer; cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'postern-sink-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const key = join(folder, 'key.pem')
  const cert = join(folder, 'cert.pem')
  const request = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const output = ['-keyout', key, '-out', cert, '-days', '1', '-subj', '/CN=localhost']
  execFileSync('openssl', [...request, ...output], { stdio: 'ignore' })
  return { key: readFileSync(key), cert: readFileSync(cert) }
}
