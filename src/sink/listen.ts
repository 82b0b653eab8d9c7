import type { Server } from 'node:net'

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Listens, and gives the port: the asked one, or a free one for 0. */
export function listen(server: Server, { host, port }: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      const address = server.address()
      if (address === null || typeof address === 'string') reject(new Error('not a TCP listener'))
      else resolve(address.port)
    })
  })
}

/** Where a program on this machine reaches a listener: one on every address is also on the loopback. */
export function reachableAddress(host: string, port: number): string {
  if (host === '' || host === '0.0.0.0' || host === '::') return `127.0.0.1:${port}`
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
