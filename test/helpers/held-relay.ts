import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { createMessageWriter } from '../../smtp/message-writer.ts'
import { createReplyLine } from '../../smtp/reply-line.ts'
import { systemClock } from '../../src/clock.ts'

/** A connection to a relay that takes what is written only when it is told to. */
export function createHeldRelay() {
  const writes: string[] = []
  let take = () => {}
  function hold(bytes: Buffer[], done: () => void) {
    writes.push(Buffer.concat(bytes).toString('latin1'))
    take = done
  }
  const socket = new Duplex({
    read() {},
    write: (bytes, _encoding, done) => hold([bytes], done),
    writev: (parts, done) =>
      hold(
        parts.map(({ chunk }) => chunk),
        done,
      ),
  })
  const open = () => Object.assign(socket, { setNoDelay: () => socket }) as unknown as Socket
  const line = createReplyLine(open, { timeoutMs: 60_000, clock: systemClock })
  return {
    connection: { ...line, ...createMessageWriter(line, 60_000) },
    /** Each as the operating system gets it. */
    writes,
    /** The oldest write is through. */
    take() {
      const taken = take
      take = () => {}
      taken()
    },
    say: (reply: string) => void socket.push(`${reply}\r\n`),
  }
}
