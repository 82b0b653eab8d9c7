import type { ServerResponse } from 'node:http'
import type { UpstreamFailure } from './challenge.ts'
import type { RequestFields } from './headers.ts'
import { breakOff, watchClient } from './unread-answer.ts'
import {
  byteLength,
  Superseded,
  type UpstreamCall,
  UpstreamTrouble,
} from './upstream-connection.ts'
import { createUpstreamPool } from './upstream-pool.ts'
import type { UpstreamAddress } from './upstream-socket.ts'

/** One request to an Email API, decided and ready to be written. */
export interface UpstreamRequest {
  readonly method: string
  /** From the route, never the client's spelling. */
  readonly path: string
  readonly fields: RequestFields
  readonly body: readonly Buffer[]
}

export interface ForwardHooks {
  /** Asked in the turn in which the last byte goes out: if not, the upstream never gets all of it. */
  mayFinish(): boolean
  /** Called at most once, and not at all where it cannot be known: nothing reads the memory of the request's body any more. */
  bodyTaken(): void
  /** Makes the fields of the answer to the client. Both are flat lists of names and values; names come in lower case. */
  answerHeaders(fields: readonly string[]): string[]
  /** The upstream broke off in the middle of its answer, and so does the gate. */
  broken(error: Error): void
}

export type Forwarded =
  /** Either side is done: there is nobody left to answer. */
  | 'done'
  /** What was decided holds no more, and the upstream has not got all of it. */
  | 'superseded'
  /** The upstream failed before its answer began. */
  | { readonly failure: UpstreamFailure; readonly error: Error }

export interface HttpUpstreamOptions {
  readonly origin: string
  readonly basePath: string
  readonly timeoutMs: number
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string | undefined
}

/** Methods of which nobody expects content, so that it has not to be said that there is none (RFC 9110 §8.6). */
const withoutContent = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** Node writes up to 16 KiB of text, head included, without memory of its own: half of it is for the head. */
const shortEndBytes = 8 * 1024

/** An Email API behind the gate, reached over pooled keep-alive connections. */
export function createHttpUpstream({ origin, basePath, timeoutMs, ca }: HttpUpstreamOptions) {
  const { host, address } = readOrigin(origin, ca)
  const pool = createUpstreamPool(address, timeoutMs)

  return {
    origin,

    /** Sends the request, and the upstream's answer straight into `outgoing`. Unless it is done, the client is still to be answered. */
    forward(request: UpstreamRequest, outgoing: ServerResponse, hooks: ForwardHooks) {
      return new Promise<Forwarded>((resolve) => {
        // It may have left while something else was waited for.
        if (outgoing.destroyed) return resolve('done')
        const { method, body } = request
        let endWatch: (() => void) | undefined
        const call: UpstreamCall = {
          method,
          head: headOf(request, host, basePath),
          body,
          isLast: hasUnexpectedContent(request),
          connection: undefined,
          mayFinish: hooks.mayFinish,

          answered(status, fields) {
            // The upstream turns down the gate, not the client: a 401 would send people looking for a wrong token.
            if (status === 401 || status === 407) {
              pool.abandon(call)
              return fail('refused-gate', new Error(`the upstream answered ${status}`))
            }
            outgoing.writeHead(status, hooks.answerHeaders(fields))
          },

          data(piece) {
            if (outgoing.write(piece)) return true
            if (endWatch === undefined) {
              outgoing.once('drain', onDrain)
              endWatch = watchClient(outgoing)
            }
            return false
          },

          end(last, isTaken) {
            endWith(outgoing, last)
            if (isTaken) hooks.bodyTaken()
            resolve('done')
          },

          fail(error) {
            if (outgoing.headersSent) {
              hooks.broken(error)
              breakOff(outgoing)
              resolve('done')
            } else if (error instanceof Superseded) {
              leaveClient()
              resolve('superseded')
            } else {
              fail(error instanceof UpstreamTrouble ? error.failure : 'misbehaved', error)
            }
          },
        }

        function onDrain() {
          endWatch?.()
          endWatch = undefined
          call.connection?.resume()
        }
        function onClientGone() {
          endWatch?.()
          pool.abandon(call)
          resolve('done')
        }
        function leaveClient() {
          outgoing.off('close', onClientGone)
        }
        function fail(failure: UpstreamFailure, error: Error) {
          leaveClient()
          resolve({ failure, error })
        }

        outgoing.on('close', onClientGone)
        pool.call(call)
      })
    },

    /** Waits for requests in flight. */
    close: () => pool.close(),
  }
}

export type HttpUpstream = ReturnType<typeof createHttpUpstream>

function readOrigin(origin: string, ca: string | undefined) {
  const { protocol, hostname, port, host } = new URL(origin)
  const isTls = protocol === 'https:'
  const address: UpstreamAddress = {
    // Brackets around an IPv6 address belong to the URL.
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? (isTls ? 443 : 80) : Number(port),
    tls: isTls ? { ca } : undefined,
  }
  return { host, address }
}

/**
 * A short end goes out as text, a character for a byte, in one write with the head. A longer one is copied: `outgoing` may keep
 * it, and the memory of `last` is read into again.
 */
function endWith(outgoing: ServerResponse, last: Buffer | undefined) {
  if (last === undefined) outgoing.end()
  else if (last.length <= shortEndBytes) outgoing.end(last.toString('latin1'), 'latin1')
  else outgoing.end(Buffer.from(last))
}

/** RFC 9110 §9.3.1. An upstream may take it for a request of its own, which the client has written and nobody checked. */
function hasUnexpectedContent({ method, body }: UpstreamRequest): boolean {
  return body.length > 0 && withoutContent.has(method)
}

/** RFC 9112 §3 and §5: the request line, and a line for each field. */
function headOf(request: UpstreamRequest, ownHost: string, basePath: string): string {
  const { method, path, fields, body } = request
  const length = byteLength(body)
  const saysLength = length > 0 || !withoutContent.has(method)
  const lengthLine = saysLength ? `Content-Length: ${length}\r\n` : ''
  const connection = hasUnexpectedContent(request) ? 'close' : 'keep-alive'
  return (
    `${method} ${basePath}${path} HTTP/1.1\r\nHost: ${fields.host ?? ownHost}\r\n` +
    `Connection: ${connection}\r\n${fields.lines}${lengthLine}\r\n`
  )
}
