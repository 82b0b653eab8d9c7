import type { ServerResponse } from 'node:http'

/** The client then holds a connection to the upstream that others wait for. nginx waits as long (`send_timeout`). */
const unreadMs = 60_000

/** Cuts off a client that makes no room for what waits for it; answers what ends the watch. */
export function watchClient(outgoing: ServerResponse): () => void {
  const { socket } = outgoing.req
  const taken = () => socket.bytesWritten - socket.writableLength
  let timer: NodeJS.Timeout

  function watch() {
    const before = taken()
    timer = setTimeout(() => {
      // Where nothing waits, an earlier answer of the connection has not come yet.
      if (socket.writableLength > 0 && taken() === before) cutOff(outgoing)
      else watch()
    }, unreadMs)
  }

  watch()
  return () => clearTimeout(timer)
}

/** Ends an answer that is not whole, behind those that are: they go out before it. */
export function breakOff(outgoing: ServerResponse) {
  if (outgoing.socket === null) outgoing.once('socket', () => cutOff(outgoing))
  else cutOff(outgoing)
}

/** To a client of HTTP/1.0 the end of the connection is the end of a whole answer (RFC 9112 §6.3): it gets no end. */
function cutOff({ req: { httpVersion, socket } }: ServerResponse) {
  // Over TLS the end is told by an alert, which is missing then.
  if (httpVersion === '1.0' && !('encrypted' in socket)) socket.resetAndDestroy()
  else socket.destroy()
}
