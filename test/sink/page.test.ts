import nodemailer from 'nodemailer'
import { expect, test } from 'vitest'
import { letter, post, startedAt, startTestSink } from './start-test-sink.ts'

async function text(url: string): Promise<string> {
  return (await fetch(url)).text()
}

test('the empty page says how to send', async () => {
  const sink = await startTestSink()
  const page = await text(sink.page)
  expect(page).toContain('Nothing has arrived yet.')
  expect(page).toContain('Send something through the gate.')
})

test('the page shows sender, recipient, token and protocol of what arrived', async () => {
  const sink = await startTestSink()
  await post(sink, '/api/send', letter, { 'Postern-Token-Id': '4231', 'Postern-Account-Id': '7' })
  const page = await text(sink.page)
  for (const shown of ['A letter', 'hello@example.com', 'a@mail.test', 'token 4231', '>HTTP<']) {
    expect(page).toContain(shown)
  }
})

test('the page shows the claims of the assertion', async () => {
  const sink = await startTestSink()
  const claims = Buffer.from('{"sub":"4231","aud":"https://upstream.test"}').toString('base64url')
  await post(sink, '/api/send', letter, { 'Postern-Assertion': `e30.${claims}.c2ln` })
  expect(await text(sink.page)).toContain('&quot;aud&quot;: &quot;https://upstream.test&quot;')
})

const hostile = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`

test('nothing that a client sends over HTTP becomes markup of the page', async () => {
  const sink = await startTestSink()
  const body = {
    from: { email: `${hostile}@example.com`, name: hostile },
    to: [{ email: hostile }],
    subject: hostile,
    text: hostile,
    html: hostile,
  }
  const headers = { 'Postern-Token-Id': hostile, 'Postern-Account-Id': hostile, 'X-Y': hostile }
  await post(sink, `/api/${encodeURIComponent(hostile)}`, body, headers)
  await post(sink, '/api/send', body, {
    ...headers,
    'Postern-Assertion': `a.${Buffer.from(hostile).toString('base64url')}.c`,
  })
  const page = await text(sink.page)
  expect(page).toContain('&lt;script&gt;alert(1)')
  expect(page).not.toContain('<script>')
  expect(page).not.toContain('<img')
})

test('nothing that a client sends over SMTP becomes markup of the page', async () => {
  const sink = await startTestSink()
  const [host, port] = sink.smtp.split(':')
  const options = { host: host ?? '', port: Number(port), auth: { user: hostile, pass: 'x' } }
  await nodemailer.createTransport(options).sendMail({
    envelope: { from: 'a@example.com', to: 'b@mail.test' },
    raw: `From: ${hostile}\r\nSubject: ${hostile}\r\n${hostile}: x\r\n\r\n${hostile}`,
  })
  const page = await text(sink.page)
  expect(page).toContain('&lt;script&gt;alert(1)')
  expect(page).not.toContain('<script>')
  expect(page).not.toContain('<img')
})

test('the page may load nothing from elsewhere and run no script but its own file', async () => {
  const sink = await startTestSink()
  const policy = (await fetch(sink.page)).headers.get('Content-Security-Policy')
  expect(policy).toContain("default-src 'none'")
  expect(policy).toContain("script-src 'self'")
  expect(policy).not.toContain('unsafe-inline')
  for (const file of ['style.css', 'page.js']) {
    expect((await fetch(`${sink.page}${file}`)).status).toBe(200)
  }
})

test('the HTML of a message is served in a sandbox that runs no script and loads nothing', async () => {
  const sink = await startTestSink()
  await post(sink, '/api/send', { ...letter, html: hostile })
  const id = sink.mailbox.list()[0]?.id
  const answer = await fetch(`${sink.page}view/${id}/html`)
  expect(await answer.text()).toBe(hostile)
  const policy = answer.headers.get('Content-Security-Policy')
  expect(policy).toMatch(/^sandbox; default-src 'none'/)
  expect(policy).not.toMatch(/script-src|allow-/)
  expect(await text(sink.page)).toContain(`<iframe sandbox="" src="/view/${id}/html"`)
})

test('an old message has an address of its own, and a dropped one leads back to the list', async () => {
  const sink = await startTestSink({ maxMessages: 2 })
  for (const subject of ['first', 'second', 'third']) {
    await post(sink, '/api/send', { ...letter, subject })
  }
  const second = sink.mailbox.list()[1]?.id
  expect(await text(`${sink.page}view/${second}`)).toContain('<h2>second</h2>')
  const dropped = await fetch(`${sink.page}view/gone`, { redirect: 'manual' })
  expect(dropped.headers.get('Location')).toBe('/')
})

test('a body nested too deeply to print is shown as it is', async () => {
  const sink = await startTestSink()
  const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  await post(sink, '/api/send', nested)
  const page = await fetch(sink.page)
  expect(page.status).toBe(200)
  expect(await page.text()).toContain('[[[[')
})

test('the list as JSON has no bodies, and one message has everything', async () => {
  const sink = await startTestSink()
  await post(sink, '/api/send', letter, { 'Postern-Token-Id': '4231' })
  const list = await (await fetch(`${sink.http}/messages`)).json()
  const id = sink.mailbox.list()[0]?.id
  expect(list).toEqual([
    {
      id,
      receivedAt: startedAt,
      protocol: 'http',
      senders: ['hello@example.com'],
      recipients: ['a@mail.test'],
      subject: 'A letter',
      size: JSON.stringify(letter).length,
      tokenId: '4231',
      accountId: null,
    },
  ])
  const whole = await (await fetch(`${sink.http}/messages/${id}`)).json()
  expect(whole).toMatchObject({
    id,
    method: 'POST',
    path: '/api/send',
    text: 'Dear reader',
    headers: expect.arrayContaining([['Postern-Token-Id', '4231']]),
    body: JSON.stringify(letter),
    bodyEncoding: 'utf8',
  })
})

test('bytes that are not text survive as base64 and as raw bytes', async () => {
  const sink = await startTestSink()
  const bytes = Uint8Array.of(0xff, 0x00, 0xfe)
  await fetch(`${sink.http}/api/send`, { method: 'POST', body: bytes })
  const url = `${sink.http}/messages/${sink.mailbox.list()[0]?.id}`
  expect(await (await fetch(url)).json()).toMatchObject({ body: '/wD+', bodyEncoding: 'base64' })
  expect(new Uint8Array(await (await fetch(`${url}/raw`)).arrayBuffer())).toEqual(bytes)
})

test('the list is sent again only when it changed', async () => {
  const sink = await startTestSink()
  const look = (etag: string) =>
    fetch(`${sink.http}/messages`, { headers: { 'If-None-Match': etag }, cache: 'no-store' })
  const etag = (await look('none')).headers.get('ETag') ?? ''
  expect((await look(etag)).status).toBe(304)
  await post(sink, '/api/send', letter)
  expect((await look(etag)).status).toBe(200)
})

test('DELETE forgets every message', async () => {
  const sink = await startTestSink()
  await post(sink, '/api/send', letter)
  const answer = await fetch(`${sink.http}/messages`, { method: 'DELETE' })
  expect(await answer.json()).toEqual({ deleted: 1 })
  expect(sink.mailbox.list()).toEqual([])
})
