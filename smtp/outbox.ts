import type { Socket } from 'node:net'
import { turns } from '../src/turns.ts'

/** What is said to the other end of a connection: all of a turn of the event loop in one write, when that is over. */
export interface Outbox {
  write(text: string): void
  /** Writes now what waits. */
  flush(): void
  isEmpty(): boolean
}

/**
 * Of text, since that costs less to write than the same in pieces, or as bytes. `socket` tells where it goes at the moment; to one that is
 * closed, or on its way to be, nothing goes.
 */
export function createOutbox(socket: () => Socket, encoding: 'latin1' | 'utf8'): Outbox {
  let waiting = ''

  function flush() {
    if (waiting === '') return
    const text = waiting
    waiting = ''
    const to = socket()
    if (to.writable) to.write(text, encoding)
  }

  return {
    write(text) {
      if (waiting === '') turns.atEnd(flush)
      waiting += text
    },
    flush,
    isEmpty: () => waiting === '',
  }
}
