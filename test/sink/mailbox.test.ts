import { expect, test } from 'vitest'
import { createMailbox, type KeptMessage } from '../../src/sink/mailbox.ts'

function message(id: string, content = 'x'): KeptMessage {
  const raw = new Uint8Array(Buffer.from(content))
  return {
    protocol: 'http',
    id,
    receivedAt: 0,
    method: 'POST',
    path: '/api/send',
    status: 200,
    senders: ['hello@example.com'],
    recipients: ['a@mail.test'],
    headerFrom: 'hello@example.com',
    subject: id,
    text: null,
    html: null,
    headers: [],
    tokenId: null,
    accountId: null,
    raw,
    size: raw.byteLength,
    truncated: false,
  }
}

function ids(messages: readonly KeptMessage[]): string[] {
  return messages.map(({ id }) => id)
}

test('the newest message comes first', () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 1000 })
  mailbox.add(message('a'))
  mailbox.add(message('b'))
  expect(ids(mailbox.list())).toEqual(['b', 'a'])
})

test('the oldest messages go when there are too many', () => {
  const mailbox = createMailbox({ maxMessages: 2, maxBytes: 1000 })
  for (const id of ['a', 'b', 'c']) mailbox.add(message(id))
  expect(ids(mailbox.list())).toEqual(['c', 'b'])
  expect(mailbox.get('a')).toBeUndefined()
})

test('the oldest messages go when they hold too many bytes', () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  for (const id of ['a', 'b', 'c']) mailbox.add(message(id, 'x'.repeat(40)))
  expect(ids(mailbox.list())).toEqual(['c', 'b'])
})

test('a message above the byte limit keeps its description and the beginning of its body', () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  mailbox.add(message('small'))
  mailbox.add({ ...message('large', 'x'.repeat(500)), text: 'y'.repeat(500) })
  expect(ids(mailbox.list())).toEqual(['large'])
  const kept = mailbox.get('large')
  expect(kept).toMatchObject({ subject: 'large', size: 500, truncated: true, text: null })
  expect(kept?.raw.byteLength).toBe(100)
  expect(kept?.raw.buffer.byteLength).toBe(100)
})

test('clearing frees the room that the messages took', () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  mailbox.add(message('a', 'x'.repeat(60)))
  expect(mailbox.clear()).toBe(1)
  mailbox.add(message('b', 'x'.repeat(60)))
  mailbox.add(message('c', 'x'.repeat(40)))
  expect(ids(mailbox.list())).toEqual(['c', 'b'])
})

test('the revision changes with every arrival and every clearing', () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  const revisions = [mailbox.revision()]
  mailbox.add(message('a'))
  revisions.push(mailbox.revision())
  mailbox.clear()
  revisions.push(mailbox.revision())
  expect(new Set(revisions).size).toBe(3)
})

test('waiting is answered by what is there already', async () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  mailbox.add(message('a'))
  expect((await mailbox.waitFor(({ id }) => id === 'a', 1000)).id).toBe('a')
})

test('waiting is answered by the first arrival that matches', async () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  const awaited = mailbox.waitFor(({ id }) => id === 'b', 10_000)
  for (const id of ['a', 'b', 'c']) mailbox.add(message(id))
  expect((await awaited).id).toBe('b')
})

test('waiting in vain ends with an error', async () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  await expect(mailbox.waitFor(() => true, 1)).rejects.toThrow('no such message within 1 ms')
})

test('a predicate that throws fails its caller and nobody else', async () => {
  const mailbox = createMailbox({ maxMessages: 10, maxBytes: 100 })
  const broken = mailbox.waitFor(() => {
    throw new Error('broken')
  }, 10_000)
  const sound = mailbox.waitFor(() => true, 10_000)
  mailbox.add(message('a'))
  await expect(broken).rejects.toThrow('broken')
  expect((await sound).id).toBe('a')
})
