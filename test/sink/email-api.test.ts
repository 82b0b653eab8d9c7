import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { letter, post, startedAt, startTestSink } from './start-test-sink.ts'

const uuid = /^[0-9a-f-]{36}$/

test('a send is answered with one message id for each recipient', async () => {
  const sink = await startTestSink()
  const answer = await post(sink, '/api/send', {
    ...letter,
    cc: [{ email: 'b@mail.test' }],
    bcc: [{ email: 'c@mail.test' }],
  })
  expect(answer.status).toBe(200)
  expect(await answer.json()).toEqual({
    success: true,
    message_ids: [
      expect.stringMatching(uuid),
      expect.stringMatching(uuid),
      expect.stringMatching(uuid),
    ],
  })
})

test('a request is kept as it arrived, with the fields that the gate added', async () => {
  const sink = await startTestSink()
  const body = JSON.stringify(letter, null, 3)
  await post(sink, '/api/send/17?x=1', body, {
    'Postern-Token-Id': '4231',
    'Postern-Account-Id': '7',
    'Postern-Assertion': 'a.b.c',
  })
  const [kept] = sink.mailbox.list()
  expect(kept).toMatchObject({
    protocol: 'http',
    receivedAt: startedAt,
    method: 'POST',
    path: '/api/send/17?x=1',
    status: 200,
    senders: ['hello@example.com'],
    recipients: ['a@mail.test'],
    headerFrom: 'Example Shop <hello@example.com>',
    subject: 'A letter',
    text: 'Dear reader',
    html: null,
    tokenId: '4231',
    accountId: '7',
    size: body.length,
    truncated: false,
  })
  expect(kept?.headers).toContainEqual(['Postern-Assertion', 'a.b.c'])
  expect(Buffer.from(kept?.raw ?? []).toString()).toBe(body)
})

test('a batch is answered item by item, and each may have a sender of its own', async () => {
  const sink = await startTestSink()
  const answer = await post(sink, '/api/batch', {
    base: { from: letter.from, subject: 'For all', text: 'Hello' },
    requests: [
      { to: [{ email: 'a@mail.test' }], subject: null },
      { to: [{ email: 'b@mail.test' }], from: { email: 'other@example.org' } },
      { cc: [] },
    ],
  })
  expect(answer.status).toBe(200)
  expect(await answer.json()).toEqual({
    success: true,
    responses: [
      { success: true, message_ids: [expect.stringMatching(uuid)] },
      { success: true, message_ids: [expect.stringMatching(uuid)] },
      { success: false, errors: ["'to', 'cc' or 'bcc' address is required"] },
    ],
  })
  expect(sink.mailbox.list()[0]).toMatchObject({
    senders: ['hello@example.com', 'other@example.org'],
    recipients: ['a@mail.test', 'b@mail.test'],
    subject: 'For all',
  })
})

const allMissing = [
  "'from' is required",
  "'to', 'cc' or 'bcc' address is required",
  "'subject' is required",
  'must specify either text or html body',
]

test.for([
  ['an empty object', '/api/send', {}, allMissing],
  [
    'explicit nulls',
    '/api/send',
    { from: null, to: null, subject: null, text: null, html: null },
    allMissing,
  ],
  [
    'a sender without a domain',
    '/api/send',
    { ...letter, from: { email: 'x' } },
    ["'from' address is invalid"],
  ],
  ['no subject', '/api/send/5', { ...letter, subject: '' }, ["'subject' is required"]],
  ['a batch without requests', '/api/batch', { base: letter }, ["empty field: 'requests'"]],
  ['a batch with no requests', '/api/batch/5', { requests: [] }, ["empty field: 'requests'"]],
  [
    'a batch that is too long',
    '/api/batch',
    { requests: Array(501).fill({}) },
    ["'requests' has more than 500 items"],
  ],
  ['broken JSON', '/api/send', '{"from":', ['the body is not a JSON object']],
  ['a JSON array', '/api/send', [letter], ['the body is not a JSON object']],
  ['no body', '/api/batch', '', ['the body is not a JSON object']],
  ['JSON nested too deeply', '/api/send', '['.repeat(1_000_000), ['the body is not a JSON object']],
] as const)('%s is answered with the errors of the vendor', async ([, path, body, errors]) => {
  const sink = await startTestSink()
  const answer = await post(sink, path, body)
  expect(answer.status).toBe(400)
  expect(await answer.json()).toEqual({ success: false, errors })
})

test('a template needs neither subject nor body', async () => {
  const sink = await startTestSink()
  const { from, to } = letter
  const answer = await post(sink, '/api/send', { from, to, template_uuid: 'b81aabcd-1a1e' })
  expect(answer.status).toBe(200)
})

test('what is refused is kept too, so that nothing that a gate let through goes unseen', async () => {
  const sink = await startTestSink()
  await post(sink, '/api/send', '{')
  await fetch(`${sink.http}/api/accounts/1/api_tokens`)
  expect(sink.mailbox.list()).toMatchObject([
    { path: '/api/accounts/1/api_tokens', status: 404 },
    { path: '/api/send', status: 400 },
  ])
})

test.for([
  ['GET', '/api/send', 405],
  ['GET', '/api/other', 404],
  ['POST', '/api/send/abc', 404],
  ['POST', '/elsewhere', 404],
  ['PUT', '/messages', 405],
  ['POST', '/', 405],
  ['GET', '/messages/unknown', 404],
  ['GET', '/messages/unknown/raw', 404],
] as const)('%s %s is answered with %i in JSON', async ([method, path, status]) => {
  const sink = await startTestSink()
  const answer = await fetch(`${sink.http}${path}`, { method })
  expect(answer.status).toBe(status)
  expect(answer.headers.get('Content-Type')).toMatch(/^application\/json/)
  expect(await answer.json()).toMatchObject({ success: false, errors: [expect.any(String)] })
  expect(answer.headers.has('Allow')).toBe(status === 405)
})

test('a body above 60 MB is answered with 413 and not kept', async () => {
  const sink = await startTestSink()
  const answer = await post(sink, '/api/send', 'x'.repeat(60_000_001))
  expect(answer.status).toBe(413)
  expect(await answer.json()).toEqual({ success: false, errors: ['message too large'] })
  expect(sink.mailbox.list()).toEqual([])
})

test('a client that leaves in the middle of its body harms nobody', async () => {
  const sink = await startTestSink()
  const socket = connect(Number(new URL(sink.http).port), '127.0.0.1')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(
    'POST /api/send HTTP/1.1\r\nHost: sink\r\nContent-Length: 1000\r\n\r\n{"from":',
    () => socket.resetAndDestroy(),
  )
  await closed
  expect((await post(sink, '/api/send', letter)).status).toBe(200)
  expect(sink.mailbox.list()).toHaveLength(1)
})
