import type { ClientConfig } from 'pg'
import { logChannel } from './revocation-log.ts'

const reconnectMs = 500

/**
 * Listens for PostgreSQL's NOTIFY on a connection of its own, which is made anew whenever it breaks. What was told while
 * it was broken is lost, so that each new connection counts as a notification.
 */
export function watchPostgres(
  Client: typeof import('pg').Client,
  config: ClientConfig,
  listener: () => void,
): () => void {
  let client: InstanceType<typeof Client> | undefined
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  async function connect() {
    const fresh = new Client(config)
    client = fresh
    fresh.on('error', () => {})
    fresh.on('notification', listener)
    fresh.once('end', reconnect)
    try {
      await fresh.connect()
      await fresh.query(`listen ${logChannel}`)
      listener()
    } catch {
      // `end` follows where there was a connection; without one nothing does.
      await fresh.end().catch(() => {})
      reconnect()
    }
  }

  function reconnect() {
    if (stopped) return
    clearTimeout(timer)
    timer = setTimeout(connect, reconnectMs)
    timer.unref()
  }

  void connect()
  return function stop() {
    stopped = true
    clearTimeout(timer)
    client?.end().catch(() => {})
  }
}
