import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { createOnread, type OnBytes } from '../src/onread.ts'

/** Where an Email API is. */
export interface UpstreamAddress {
  readonly host: string
  readonly port: number
  /** Left out: in the clear. */
  readonly tls?: UpstreamTls | undefined
}

export interface UpstreamTls {
  /** PEM certificates to trust instead of the system's. */
  readonly ca?: string | undefined
  /** Of the latest handshake: the next one resumes it. */
  session?: Buffer | undefined
}

/** In milliseconds, until the system asks whether the other side is still there. */
const keepAliveInitialDelay = 60_000

/** Most answers are much shorter. */
const readBytes = 16 * 1024

/** Says `connect`, or `secureConnect` with TLS, when it can be used. */
export function openSocket({ host, port, tls }: UpstreamAddress, onBytes: OnBytes): Socket {
  const onread = createOnread(readBytes, onBytes)
  const options = { host, port, onread, noDelay: true, keepAlive: true, keepAliveInitialDelay }
  if (tls === undefined) return connectTcp(options)
  const { ca, session } = tls
  const socket = connectTls({
    ...options,
    ...(isIP(host) === 0 && { servername: host }),
    ...(ca !== undefined && { ca }),
    ...(session !== undefined && { session }),
    ALPNProtocols: ['http/1.1'],
  })
  return socket.on('session', (latest) => {
    tls.session = latest
  })
}
