import { type AddressInfo, createServer, type Socket } from 'node:net'
import { serveAgent } from '../processes/agent.ts'

/** An Email API that takes everything and counts it, on raw sockets: it must never be what is slow. */

const body = '{"success":true,"message_ids":["0c7fd939-02cf-11ed-88c2-0a58a9feac02"]}'
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
)
const refusal = Buffer.from('HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n')

let requests = 0
let bodyBytes = 0

function serve(socket: Socket) {
  let head = ''
  /** What is still to come of the body of the request whose head has been read. */
  let missing = 0
  socket.setNoDelay()
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    let at = 0
    while (at < chunk.length) {
      if (missing > 0) {
        const taken = Math.min(missing, chunk.length - at)
        missing -= taken
        bodyBytes += taken
        at += taken
      } else {
        const before = head.length
        head += chunk.toString('latin1', at, Math.min(chunk.length, at + maxHeadBytes))
        const end = head.indexOf('\r\n\r\n')
        if (end < 0) return
        at += end + 4 - before
        const length = /\r\ncontent-length: *(\d+)/i.exec(head.slice(0, end))?.[1]
        head = ''
        if (length === undefined) {
          socket.end(refusal)
          return
        }
        missing = Number(length)
      }
      if (missing === 0) {
        requests += 1
        socket.write(answer)
      }
    }
  })
}

const maxHeadBytes = 16_384

const calls = {
  listen(_: undefined): Promise<number> {
    const server = createServer(serve)
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    )
  },
  /** What has arrived since the last time. */
  take(_: undefined) {
    const taken = { requests, bodyBytes }
    requests = 0
    bodyBytes = 0
    return taken
  },
}
export type HttpUpstreamAgent = typeof calls

serveAgent(calls)
