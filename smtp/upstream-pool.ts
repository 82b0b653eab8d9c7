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

/** One that was not needed for so long goes, within as long again: sooner than most servers hang up. */
const unneededMs = 7_500

/**
 * Without a limit: no more can wait than were in use at once a moment ago, and to open them again for each of the next
 * messages would cost the relay more than to keep them.
 */
export function createUpstreamPool(
  upstream: SmtpUpstream,
  options: Parameters<typeof connectUpstream>[1],
): UpstreamPool {
  /** The youngest last. It is taken first: it is the least likely to have been closed. */
  const idle: UpstreamConnection[] = []
  /** The fewest that waited since the last sweep: so many of the oldest were not needed. */
  let unneeded = 0
  let closed = false
  const sweeping = setInterval(sweep, unneededMs).unref()

  function sweep() {
    for (const connection of idle.splice(0, unneeded)) connection.destroy()
    unneeded = idle.length
  }

  return {
    origin: `smtp://${upstream.host.includes(':') ? `[${upstream.host}]` : upstream.host}:${upstream.port}`,

    takeIdle() {
      for (;;) {
        const connection = idle.pop()
        unneeded = Math.min(unneeded, idle.length)
        if (connection === undefined || connection.isUsable()) return connection
        connection.destroy()
      }
    },

    connect: () => connectUpstream(upstream, options),

    release(connection) {
      if (closed || !connection.isUsable()) connection.destroy()
      else idle.push(connection)
    },

    close() {
      closed = true
      clearInterval(sweeping)
      for (const connection of idle.splice(0)) connection.destroy()
    },
  }
}
