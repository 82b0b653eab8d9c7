import { type AddressInfo, createServer, type Socket } from 'node:net'
import { serveAgent } from '../processes/agent.ts'

/** A relay that takes everything and counts it, on raw sockets. */

let messages = 0
let messageBytes = 0

const endOfData = '\r\n.\r\n'

function serve(socket: Socket) {
  let received = ''
  let isData = false
  socket.setNoDelay()
  socket.on('error', () => {})
  socket.write('220 relay.example ESMTP\r\n')
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    let replies = ''
    for (;;) {
      if (isData) {
        const end = received.indexOf(endOfData)
        if (end < 0) {
          // Of a large message only as much is kept as an end could have begun in.
          messageBytes += Math.max(0, received.length - endOfData.length)
          received = received.slice(-endOfData.length)
          break
        }
        messageBytes += end
        received = received.slice(end + endOfData.length)
        isData = false
        messages += 1
        replies += '250 2.0.0 Taken\r\n'
      } else {
        const end = received.indexOf('\r\n')
        if (end < 0) break
        const verb = received.slice(0, 4).toUpperCase()
        received = received.slice(end + 2)
        isData = verb === 'DATA'
        replies += replyTo(verb)
        if (verb === 'QUIT') {
          socket.end(replies)
          return
        }
        // So that the first bytes of a message can be its end, as RFC 5321 §4.1.1.4 has it.
        if (isData) received = `\r\n${received}`
      }
    }
    if (replies !== '') socket.write(replies)
  })
}

function replyTo(verb: string): string {
  switch (verb) {
    case 'EHLO':
      return '250-relay.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n'
    case 'DATA':
      return '354 Go ahead\r\n'
    case 'QUIT':
      return '221 2.0.0 Bye\r\n'
    case 'HELO':
    case 'MAIL':
    case 'RCPT':
    case 'RSET':
    case 'NOOP':
      return '250 2.0.0 Ok\r\n'
    default:
      return '502 5.5.1 Unknown\r\n'
  }
}

const calls = {
  listen(_: undefined): Promise<number> {
    const server = createServer(serve)
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', 1_024, () => resolve((server.address() as AddressInfo).port)),
    )
  },
  /** What has arrived since the last time. */
  take(_: undefined) {
    const taken = { messages, messageBytes }
    messages = 0
    messageBytes = 0
    return taken
  },
}
export type SmtpUpstreamAgent = typeof calls

serveAgent(calls)
