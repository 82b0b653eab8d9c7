import type { Writable } from 'node:stream'
import { turns } from '../src/turns.ts'

/**
 * Text for the other end of a connection: one write when the turn of the event loop is over, so that whoever reads it is woken once
 * (decision 57).
 */
export interface OutputBuffer {
  /** Whole lines with their ends. Those that come when the turn's have gone out wait for the end of the next. */
  write(text: string): void
  /** Writes at once what waits. Drops it where the socket is closed, or its side ended. */
  flush(): void
  isEmpty(): boolean
}

/** One text costs less to write than several, or than bytes. `socket` is asked when it is written: TLS replaces it. */
export function createOutputBuffer(
  socket: () => Pick<Writable, 'writable' | 'write'>,
  encoding: 'latin1' | 'utf8',
): OutputBuffer {
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
