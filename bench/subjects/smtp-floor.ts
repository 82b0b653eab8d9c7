import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { serveAgent } from '../processes/agent.ts'

/** The floor of our stack: smtp-server takes any password and reads the message to its end. No checks, no relay. */

let messages = 0

const calls = {
  listen(_: undefined): Promise<number> {
    const server = new SMTPServer({
      allowInsecureAuth: true,
      disabledCommands: ['STARTTLS'],
      disableReverseLookup: true,
      onAuth: (_auth, _session, callback) => callback(null, { user: 'anybody' }),
      onData(stream, _session, callback) {
        stream.on('end', () => {
          messages += 1
          callback()
        })
        stream.resume()
      },
    })
    return new Promise((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.server.address() as AddressInfo).port)),
    )
  },
  takeDrained(_: undefined) {
    const taken = messages
    messages = 0
    return taken
  },
}
export type SmtpFloor = typeof calls

serveAgent(calls)
