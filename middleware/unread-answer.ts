import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** The client then holds a connection to the upstream that others wait for. nginx waits as long (`send_timeout`). */
const unreadMs = 60_000

/**
 * Cuts off a client that makes no room for what waits for it, as far as that is told: Node tells of whole writes, some 80 KB at
 * most, and Linux of room once a third of its buffer is free, 1.5 MB of the largest. Answers what ends the watch.
 */
export function watchClient(outgoing: ServerResponse): () => void {
  const { socket } = outgoing.req
  const taken = () => socket.bytesWritten - socket.writableLength
  let timer: NodeJS.Timeout

  function watch() {
    const before = taken()
    timer = setTimeout(() => {
      // Where nothing waits, an earlier answer of the connection has not come yet.
      if (socket.writableLength > 0 && taken() === before) reset(socket)
      else watch()
    }, unreadMs)
  }

  watch()
  return () => clearTimeout(timer)
}

/** Ends an answer that is not whole, behind those that are. */
export function breakOff(outgoing: ServerResponse) {
  const { httpVersion, socket } = outgoing.req
  // Nothing of it is on its way when it gets the socket, and all of the answer before it is.
  if (outgoing.socket === null) outgoing.once('socket', () => socket.destroy())
  // RFC 9112 §6.3: to this client the end of the connection is the end of a whole answer.
  else if (httpVersion === '1.0') reset(socket)
  else socket.destroy()
}

/** Over TLS an end is told by an alert, which is missing then. */
function reset(socket: Socket) {
  if ('encrypted' in socket) socket.destroy()
  else socket.resetAndDestroy()
}
