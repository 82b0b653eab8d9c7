import type { IncomingMessage } from 'node:http'
import type { HttpBindings } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import { findField } from './bounds.ts'
import type { Field, WritableMailbox } from './mailbox.ts'
import { readSendRequest, type SendAnswer, type SendSummary } from './send-request.ts'

/** Above the gate's own default of 50 MiB, so that the gate's limit is the one that people meet. */
const maxBodyBytes = 60_000_000

const sendRoute = /^\/api\/(send|batch)(?:\/\d+)?$/

export type SinkEnv = { Bindings: HttpBindings }

export interface EmailApiDeps {
  readonly mailbox: WritableMailbox
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'uuid'>
}

interface ApiAnswer {
  readonly status: SendAnswer['status'] | 404 | 405
  readonly body: object
  readonly summary?: SendSummary
}

/**
 * The vendor's sending routes. Whatever arrives under `/api/` is kept, refused requests included: what a gate let
 * through by mistake must show.
 */
export function createEmailApi({ mailbox, clock, random }: EmailApiDeps): Hono<SinkEnv> {
  const app = new Hono<SinkEnv>()

  app.all('/api/*', async function receive(c) {
    const { incoming } = c.env
    const raw = await readBody(incoming)
    if (raw === null) return c.json(failure('message too large'), 413)

    const { status, body, summary } = answer(c, raw)
    const headers = fieldPairs(incoming.rawHeaders)
    mailbox.add({
      protocol: 'http',
      id: random.uuid(),
      receivedAt: clock.now(),
      method: c.req.method,
      path: incoming.url ?? c.req.path,
      status,
      ...(summary ?? undescribed),
      headers,
      tokenId: findField(headers, 'Postern-Token-Id'),
      accountId: findField(headers, 'Postern-Account-Id'),
      raw,
      size: raw.byteLength,
      truncated: false,
    })
    if (status === 405) c.header('Allow', 'POST')
    return c.json(body, status)
  })

  function answer(c: Context<SinkEnv>, raw: Uint8Array): ApiAnswer {
    const kind = sendRoute.exec(c.req.path)?.[1]
    if (kind !== 'send' && kind !== 'batch') return { status: 404, body: failure('Not Found') }
    if (c.req.method !== 'POST') return { status: 405, body: failure('Method Not Allowed') }
    const { answer, summary } = readSendRequest(raw, kind, () => random.uuid())
    return { ...answer, summary }
  }

  return app
}

/** The shape of every refusal of this server. */
export function failure(error: string): { success: false; errors: string[] } {
  return { success: false, errors: [error] }
}

const undescribed: SendSummary = {
  senders: [],
  recipients: [],
  headerFrom: null,
  subject: null,
  text: null,
  html: null,
}

/** The body, or null when it is too large; the rest of such a body is read and dropped, so that the answer arrives. */
async function readBody(incoming: IncomingMessage): Promise<Buffer<ArrayBuffer> | null> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > maxBodyBytes) chunks.length = 0
    else chunks.push(chunk)
  }
  return size > maxBodyBytes ? null : Buffer.concat(chunks)
}

function fieldPairs(rawHeaders: readonly string[]): Field[] {
  const fields: Field[] = []
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    fields.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? ''])
  }
  return fields
}
