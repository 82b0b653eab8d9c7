import { Hono } from 'hono'
import { failure, type SinkEnv } from './email-api.ts'
import type { KeptMessage, Mailbox } from './mailbox.ts'

export interface MessagesApiDeps {
  readonly mailbox: Mailbox
  /** An entity tag for the whole list. */
  readonly contentTag: () => string
}

/** What was kept, as JSON for programs. */
export function createMessagesApi({ mailbox, contentTag }: MessagesApiDeps): Hono<SinkEnv> {
  const app = new Hono<SinkEnv>()

  app.get('/messages', function list(c) {
    const etag = contentTag()
    c.header('ETag', etag)
    c.header('Cache-Control', 'no-cache')
    if (c.req.header('If-None-Match') === etag) return c.body(null, 304)
    return c.json(mailbox.list().map(describe))
  })

  app.delete('/messages', (c) => c.json({ deleted: mailbox.clear() }))

  app.get('/messages/:id', function show(c) {
    const message = mailbox.get(c.req.param('id'))
    if (message === undefined) return c.json(failure('Not Found'), 404)
    const { raw, ...rest } = message
    return c.json({ ...rest, ...encodeBody(raw) })
  })

  app.get('/messages/:id/raw', function download(c) {
    const message = mailbox.get(c.req.param('id'))
    if (message === undefined) return c.json(failure('Not Found'), 404)
    c.header('Content-Type', 'text/plain; charset=utf-8')
    c.header('X-Content-Type-Options', 'nosniff')
    return c.body(message.raw)
  })

  return app
}

function describe(message: KeptMessage) {
  const { id, receivedAt, protocol, senders, recipients, subject, size, tokenId, accountId } =
    message
  return { id, receivedAt, protocol, senders, recipients, subject, size, tokenId, accountId }
}

/** Text where the bytes are text, so that people can read it; base64 where that would lose something. */
function encodeBody(raw: Uint8Array): { body: string; bodyEncoding: 'utf8' | 'base64' } {
  try {
    const body = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw)
    return { body, bodyEncoding: 'utf8' }
  } catch {
    return { body: Buffer.from(raw).toString('base64'), bodyEncoding: 'base64' }
  }
}
