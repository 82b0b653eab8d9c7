import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A request as the upstream saw it. */
export interface SeenRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly rawHeaders: readonly string[]
  readonly body: Buffer
}

/** An Email API that answers as it is told, and remembers what reached it. */
export interface ScriptedEmailApi {
  readonly url: string
  readonly seen: SeenRequest[]
  /** How the next requests are answered. */
  answer: (request: SeenRequest, response: ServerResponse) => void
  close(): Promise<void>
}

export async function startScriptedEmailApi(): Promise<ScriptedEmailApi> {
  const sockets = new Set<Socket>()
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk)
    } catch {
      return
    }
    const seen: SeenRequest = {
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      rawHeaders: request.rawHeaders,
      body: Buffer.concat(chunks),
    }
    api.seen.push(seen)
    api.answer(seen, response)
  })
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const api: ScriptedEmailApi = {
    url: `http://127.0.0.1:${port}`,
    seen: [],
    answer: acceptMessage,
    close() {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return api
}

/** The vendor's answer to a message that it takes. */
export function acceptMessage(_request: SeenRequest, response: ServerResponse) {
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end('{"success":true,"message_ids":["11111111-2222-4333-8444-555555555555"]}')
}
