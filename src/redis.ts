import { once } from 'node:events'
import type { Cluster, Redis } from 'ioredis'
import type { Log } from './log.ts'
import type { RedisTarget } from './setting-parsers.ts'

/** A connection to Redis in any of its forms. Nothing in it needs to be true, and nobody waits long for it. */
export interface RedisConnection {
  readonly client: Redis | Cluster
  /** Tells all who listen that the revocation log has grown. Never waits, never throws. */
  announce(): void
  /** Calls `listener` for each announcement, and for each connection that it has made: it may have missed some before. */
  listen(listener: () => void): void
  close(): void
}

/** What comes here says "read the log", and nothing else. */
const channel = 'postern:log'

/** A look-up in the store takes no longer: what Redis does not answer by then, it need not answer. */
const commandTimeoutMs = 50
const connectTimeoutMs = 1_000
const announceTimeoutMs = 200
/** A connection that leaves a command unanswered for so long is given up: behind Sentinel another server may be primary. */
const silenceTimeoutMs = 2_000

/** Connects in the background; commands fail at once until that has succeeded. `ca` is PEM. */
export async function openRedis(
  target: RedisTarget,
  { ca, log }: { readonly ca?: string | undefined; readonly log: Pick<Log, 'warn' | 'info'> },
): Promise<RedisConnection> {
  // Only here, so that a gate without Redis never loads the driver.
  const { Cluster, Redis } = await import('ioredis')
  const connections: (Redis | Cluster)[] = []

  const tls = ca === undefined ? {} : { ca }
  const { username, password } = target
  const common = {
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(target.tls && { tls }),
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    connectTimeout: connectTimeoutMs,
    socketTimeout: silenceTimeoutMs,
  }

  function connect(more: { readonly commandTimeout?: number }): Redis | Cluster {
    const connection = build({ ...common, ...more })
    connections.push(connection)
    reportTrouble(connection, log)
    return connection
  }

  function build(options: typeof common): Redis | Cluster {
    switch (target.form) {
      case 'single': {
        const [{ host, port } = { host: '', port: 0 }] = target.hosts
        return new Redis({ ...options, host, port, db: target.database })
      }
      case 'sentinel':
        return new Redis({
          ...options,
          sentinels: [...target.hosts],
          name: target.name,
          db: target.database,
          // Without it one Sentinel that says nothing keeps the others from being asked.
          sentinelCommandTimeout: connectTimeoutMs,
          ...(target.tls && { enableTLSForSentinelMode: true, sentinelTLS: tls }),
        })
      case 'cluster':
        return new Cluster([...target.hosts], {
          redisOptions: options,
          enableOfflineQueue: false,
          // The driver would try for 1.6 s, beyond the time-out of a command: the store answers sooner.
          retryDelayOnFailover: 0,
          retryDelayOnClusterDown: 0,
          // A certificate is for a name, which looking up its address first would lose.
          ...(target.tls && { dnsLookup: (address, done) => done(null, address) }),
        })
    }
  }

  const client = connect({ commandTimeout: commandTimeoutMs })
  const pulses: NodeJS.Timeout[] = []
  return {
    client,
    announce() {
      client.publish(channel, '').catch(() => {})
    },
    listen(listener) {
      const subscriber = connect({})
      subscriber.on('message', listener)
      subscriber.on('ready', () => {
        subscriber.subscribe(channel).then(listener, () => {})
      })
      // Who only listens would never notice a server that has fallen silent.
      pulses.push(setInterval(() => subscriber.ping().catch(() => {}), silenceTimeoutMs).unref())
    },
    close() {
      for (const pulse of pulses) clearInterval(pulse)
      for (const connection of connections) connection.disconnect()
    },
  }
}

/** For a command that is over when it has answered: one announcement, if Redis takes it in time. */
export async function announceOnce(...[target, options]: Parameters<typeof openRedis>) {
  const { client, close } = await openRedis(target, options)
  const tooLate = AbortSignal.timeout(announceTimeoutMs)
  try {
    if (client.status !== 'ready') await once(client, 'ready', { signal: tooLate })
    await client.publish(channel, '')
  } catch {
    // The database tells them too.
  } finally {
    close()
  }
}

/** Says once that Redis is gone, and once that it is back: a gate without it is slower, and nothing else. */
function reportTrouble(connection: Redis | Cluster, log: Pick<Log, 'warn' | 'info'>) {
  let isGone = false
  connection.on('error', (error: Error) => {
    if (!isGone) log.warn({ event: 'redis_gone', error: error.message })
    isGone = true
  })
  connection.on('ready', () => {
    if (isGone) log.info({ event: 'redis_back' })
    isGone = false
  })
}
