import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { collectGarbage } from './held-bytes.ts'

type SocketChannel = 'net.client.socket' | 'net.server.socket'

/** Every socket that this process opens, or accepts too, from now on. */
export function collectSockets(
  channels: readonly SocketChannel[] = ['net.client.socket'],
): readonly Socket[] {
  const sockets: Socket[] = []
  const collect = (message: unknown) => void sockets.push((message as { socket: Socket }).socket)
  for (const channel of channels) {
    subscribe(channel, collect)
    onTestFinished(() => void unsubscribe(channel, collect))
  }
  return sockets
}

/** Of those, the other end of `socket`. */
export function otherEnd(sockets: readonly Socket[], socket: Socket): Socket {
  const found = sockets.find(({ remotePort }) => remotePort === socket.localPort)
  if (found === undefined) throw new Error('the other end is not of this process')
  return found
}

/** How many of those that this process accepts from now on are held on to by something. */
export function watchAcceptedSockets(): () => number {
  const sockets: WeakRef<Socket>[] = []
  const watch = (message: unknown) =>
    void sockets.push(new WeakRef((message as { socket: Socket }).socket))
  subscribe('net.server.socket', watch)
  onTestFinished(() => void unsubscribe('net.server.socket', watch))
  return () => {
    collectGarbage()
    return sockets.filter((socket) => socket.deref() !== undefined).length
  }
}
