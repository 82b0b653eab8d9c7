import { createServer, type Server } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import type { Clock } from '../clock.ts'
import type { Random } from '../random.ts'
import { createEmailApi, failure, type SinkEnv } from './email-api.ts'
import { type ListenAddress, listen, reachableAddress } from './listen.ts'
import { createMailbox, type Mailbox } from './mailbox.ts'
import { createMessagesApi } from './messages-api.ts'
import { createPage } from './page.ts'
import { type SmtpSinkOptions, startSmtpSink } from './smtp-sink.ts'

const defaultMaxMessages = 200
const defaultMaxBytes = 64 * 1024 * 1024

/** What pages and lists do not take; `DELETE /messages` has been answered before. */
const otherMethods = ['POST', 'PUT', 'PATCH', 'DELETE']

/** How long a request in flight may hold up `close`. */
const closeTimeoutMs = 1000

export interface Sink {
  /** Base of the Email API: `http://127.0.0.1:PORT`. */
  readonly http: string
  /** `127.0.0.1:PORT`. */
  readonly smtp: string
  /** The page for people. */
  readonly page: string
  readonly mailbox: Mailbox
  /** Ends idle connections at once and requests in flight within a second. Calling it again is harmless. */
  close(): Promise<void>
}

export interface SinkOptions {
  readonly httpListen: ListenAddress
  readonly smtpListen: ListenAddress
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'uuid'>
  readonly maxMessages?: number
  readonly maxBytes?: number
  /** With it the SMTP side offers STARTTLS. */
  readonly tls?: SmtpSinkOptions['tls']
}

/**
 * Starts an Email API and an SMTP server that keep what they are sent and show it: the upstream of `postern dev` and
 * of tests. It authenticates nobody and delivers nothing.
 */
export async function startSink(options: SinkOptions): Promise<Sink> {
  const { clock, random, httpListen, smtpListen, tls } = options
  const mailbox = createMailbox({
    maxMessages: options.maxMessages ?? defaultMaxMessages,
    maxBytes: options.maxBytes ?? defaultMaxBytes,
  })

  const run = random.uuid() // revisions begin again with each start
  const contentTag = () => `"${run}-${mailbox.revision()}"`

  const app = new Hono<SinkEnv>()
  app.route('/', createEmailApi({ mailbox, clock, random }))
  app.route('/', createMessagesApi({ mailbox, contentTag }))
  app.route('/', createPage({ mailbox, contentTag }))
  app.on(otherMethods, ['/', '/messages', '/messages/:id', '/messages/:id/raw', '/view/:id'], (c) =>
    c.json(failure('Method Not Allowed'), 405, { Allow: 'GET' }),
  )
  app.notFound((c) => c.json(failure('Not Found'), 404))
  app.onError((_fault, c) => c.json(failure('Internal server error'), 500))

  const smtp = await startSmtpSink({ ...smtpListen, tls }, { mailbox, clock, random })
  const server = createServer(getRequestListener(app.fetch, { overrideGlobalObjects: false }))
  const httpPort = await listen(server, httpListen).catch(async (fault: unknown) => {
    await smtp.close()
    throw fault
  })

  const http = `http://${reachableAddress(httpListen.host, httpPort)}`
  let closing: Promise<unknown> | undefined
  return {
    http,
    smtp: reachableAddress(smtpListen.host, smtp.port),
    page: `${http}/`,
    mailbox,
    async close() {
      closing ??= Promise.all([closeHttp(server), smtp.close()])
      await closing
    },
  }
}

function closeHttp(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), closeTimeoutMs)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
