import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { type Dispatcher, Pool } from 'undici'
import type { UpstreamFailure } from './challenge.ts'

/** One request to an Email API, decided and ready to be written. */
export interface UpstreamRequest {
  readonly method: string
  /** From the route, never the client's spelling. */
  readonly path: string
  /** Flat list of names and values. */
  readonly headers: string[]
  readonly body: readonly Buffer[]
}

export interface ForwardHooks {
  /** Asked in the turn in which the last byte goes out: if not, the upstream never gets all of it. */
  mayFinish(): boolean
  /** Makes the fields of the answer to the client, a flat list of names and values. */
  answerHeaders(headers: IncomingHttpHeaders): string[]
  /** The upstream broke off in the middle of its answer: all that is left is to break off too. */
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
  /** PEM certificates to trust besides the system's. */
  readonly ca?: string | undefined
}

/** Connections kept towards one upstream; requests beyond wait for a free one. */
const maxConnections = 256

/** An Email API behind the gate, reached over pooled keep-alive connections. */
export function createHttpUpstream({ origin, basePath, timeoutMs, ca }: HttpUpstreamOptions) {
  const pool = new Pool(origin, {
    connections: maxConnections,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connect: { timeout: Math.min(timeoutMs, 10_000), ...(ca === undefined ? {} : { ca }) },
  })

  return {
    origin,

    /** Sends the request, and the upstream's answer straight into `outgoing`. Unless it is done, the client is still to be answered. */
    forward(request: UpstreamRequest, outgoing: ServerResponse, hooks: ForwardHooks) {
      return new Promise<Forwarded>((resolve) => {
        const { method, path, headers, body } = request
        headers.push('Content-Length', String(byteLength(body)))
        const options = {
          method: method as Dispatcher.HttpMethod,
          path: basePath + path,
          headers,
          // Pieces are written one after the other: joining 50 MB would hold everybody else up.
          body: body.length > 1 ? guardedPieces(body, hooks.mayFinish) : (body[0] ?? null),
        }
        pool.dispatch(options as Dispatcher.DispatchOptions, answerInto(outgoing, hooks, resolve))
      })
    },

    /** Waits for requests in flight. */
    close: () => pool.close(),
    destroy: () => pool.destroy(),
  }
}

export type HttpUpstream = ReturnType<typeof createHttpUpstream>

/** The decision no longer holds. */
class Superseded extends Error {}

/** Of a megabyte, most would wait in the gate for a slow upstream, and still go out after a deletion has answered. */
const lastWriteBytes = 4 * 1024

function* guardedPieces(body: readonly Buffer[], mayFinish: () => boolean) {
  yield* body.slice(0, -1)
  for (const last of body.slice(-1)) {
    const at = Math.max(0, last.length - lastWriteBytes)
    yield last.subarray(0, at)
    if (!mayFinish()) throw new Superseded()
    yield last.subarray(at)
  }
}

/** Copies an upstream's answer into the client's, at the pace at which the client takes it. */
function answerInto(
  outgoing: ServerResponse,
  hooks: ForwardHooks,
  done: (forwarded: Forwarded) => void,
): Dispatcher.DispatchHandler {
  let control: Dispatcher.DispatchController | undefined

  function onClientGone() {
    if (!outgoing.writableFinished) control?.abort(new Error('the client went away'))
    done('done')
  }
  outgoing.on('close', onClientGone)

  return {
    onRequestStart(controller) {
      control = controller
      // The client may have left while the request waited for a connection.
      if (outgoing.destroyed) return controller.abort(new Error('the client went away'))
      // undici writes in this turn what comes in one piece.
      if (!hooks.mayFinish()) controller.abort(new Superseded())
    },

    onResponseStart(controller, statusCode, headers) {
      if (statusCode < 200) return
      // The upstream turns down the gate, not the client: a 401 would send people looking for a wrong token.
      if (statusCode === 401 || statusCode === 407) {
        done({ failure: 'refused-gate', error: new Error(`the upstream answered ${statusCode}`) })
        controller.abort(new Error('the upstream refused the gate'))
        return
      }
      outgoing.writeHead(statusCode, hooks.answerHeaders(headers))
    },

    onResponseData(controller, chunk) {
      if (outgoing.write(chunk)) return
      controller.pause()
      outgoing.once('drain', () => controller.resume())
    },

    onResponseEnd() {
      outgoing.end()
      done('done')
    },

    onResponseError(_controller, error) {
      if (outgoing.destroyed) return
      if (outgoing.headersSent) {
        if (!outgoing.writableEnded) hooks.broken(error)
        return done('done')
      }
      outgoing.off('close', onClientGone)
      done(error instanceof Superseded ? 'superseded' : { failure: failureOf(error), error })
    },
  }
}

function failureOf(error: Error & { code?: string }): UpstreamFailure {
  switch (error.code) {
    case 'UND_ERR_HEADERS_TIMEOUT':
    case 'UND_ERR_BODY_TIMEOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return 'timeout'
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'unreachable'
    default:
      return 'misbehaved'
  }
}

function byteLength(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}
