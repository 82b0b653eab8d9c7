import { serveAgent } from '../processes/agent.ts'
import { listenAsFloor } from './smtp-floor-server.ts'

/** The floor of our stack: smtp-server takes any password and reads the message to its end. No checks, no relay. */

let messages = 0

const calls = {
  listen(_: undefined): Promise<number> {
    return listenAsFloor((stream, _session, callback) => {
      stream.on('end', () => {
        messages += 1
        callback()
      })
      stream.resume()
    })
  },
  takeDrained(_: undefined) {
    const taken = messages
    messages = 0
    return taken
  },
}
export type SmtpFloor = typeof calls

serveAgent(calls)
