import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'
import { createPauseWatch } from '../measure/pauses.ts'
import { serveAgent } from '../processes/agent.ts'

/**
 * The floor in Node: the body is read to its end, sent on by `Pool.dispatch`, and the answer goes into the raw response in
 * one piece. No routes, no checks, no log: what Postern costs above this is what its checks cost.
 */

/** RFC 9110 §7.6.1: what belongs to one connection only. Host and Content-Length are the client library's. */
const notForwarded = new Set([
  ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding'],
  ...['upgrade', 'host', 'content-length'],
])

function endToEnd(raw: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string
    if (!notForwarded.has(name.toLowerCase())) kept.push(name, raw[i + 1] as string)
  }
  return kept
}

function forward(pool: Pool, incoming: IncomingMessage, outgoing: ServerResponse) {
  const pieces: Buffer[] = []
  incoming.on('data', (piece: Buffer) => pieces.push(piece))
  incoming.on('end', () => {
    const answer: Buffer[] = []
    let status = 502
    let headers: string[] = []
    pool.dispatch(
      {
        method: incoming.method as Dispatcher.HttpMethod,
        path: incoming.url ?? '/',
        headers: endToEnd(incoming.rawHeaders),
        body: pieces.length === 1 ? (pieces[0] ?? null) : Buffer.concat(pieces),
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, statusCode, fields) {
          status = statusCode
          headers = Object.entries(fields).flatMap(([name, value]) =>
            name === 'connection' || name === 'keep-alive' ? [] : [name, String(value)],
          )
        },
        onResponseData(_controller, chunk) {
          answer.push(chunk)
        },
        onResponseEnd() {
          const [only] = answer
          outgoing.writeHead(status, headers)
          outgoing.end(answer.length === 1 ? only : Buffer.concat(answer))
        },
        onResponseError() {
          outgoing.writeHead(502).end()
        },
      },
    )
  })
}

const calls = {
  takeWorstPauses: createPauseWatch(),

  listen({ upstream }: { readonly upstream: number }): Promise<number> {
    const pool = new Pool(`http://127.0.0.1:${upstream}`, { connections: 256 })
    const server = createServer({ keepAliveTimeout: 65_000 }, (incoming, outgoing) =>
      forward(pool, incoming, outgoing),
    )
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    )
  },
}
export type HttpFloor = typeof calls

serveAgent(calls)
