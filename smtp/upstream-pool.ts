import {
  connectUpstream,
  type SmtpUpstream,
  type UpstreamConnection,
} from './upstream-connection.ts'

/** Connections to one relay, kept for the next message after one is through. */
export interface UpstreamPool {
  /** `smtp://host:port`: whom an assertion is for. */
  readonly origin: string
  /** One that was used before, if there is one. It may have died without a word. */
  takeIdle(): UpstreamConnection | undefined
  /** Throws `UpstreamTrouble`. */
  connect(): Promise<UpstreamConnection>
  /** Takes back a connection that is between two messages. */
  release(connection: UpstreamConnection): void
  close(): void
}

/** Shorter than most servers wait for the next command. */
const idleMs = 15_000
const maxIdle = 50

export function createUpstreamPool(
  upstream: SmtpUpstream,
  options: { hostname: string; timeoutMs: number },
): UpstreamPool {
  const idle = new Map<UpstreamConnection, NodeJS.Timeout>()
  let closed = false

  function discard(connection: UpstreamConnection) {
    clearTimeout(idle.get(connection))
    idle.delete(connection)
    connection.destroy()
  }

  return {
    origin: `smtp://${upstream.host.includes(':') ? `[${upstream.host}]` : upstream.host}:${upstream.port}`,

    takeIdle() {
      // The youngest: it is the least likely to have been closed.
      for (const connection of [...idle.keys()].reverse()) {
        clearTimeout(idle.get(connection))
        idle.delete(connection)
        if (connection.isUsable()) return connection
        connection.destroy()
      }
      return undefined
    },

    connect: () => connectUpstream(upstream, options),

    release(connection) {
      if (closed || idle.size >= maxIdle || !connection.isUsable()) return connection.destroy()
      idle.set(connection, setTimeout(() => discard(connection), idleMs).unref())
    },

    close() {
      closed = true
      for (const connection of idle.keys()) discard(connection)
    },
  }
}
