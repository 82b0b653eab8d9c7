import { getRequestListener } from '@hono/node-server'
import { createGatewayServer } from '../middleware/server.ts'
import type { Config } from './config.ts'
import { type ControlPlane, openControlPlane, type System } from './control-plane.ts'
import { createJanitor } from './fleet/janitor.ts'
import { createLimits, type Limits } from './limiting.ts'
import { hostPort, naming } from './listening.ts'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import { openRedis, type RedisConnection } from './redis.ts'
import { createDomainChecks } from './service/domain-checks.ts'
import { createSweeper } from './service/sweep.ts'
import { readRedisCa } from './setting-files.ts'
import { openTlsFiles } from './tls-files.ts'
import { readVersion } from './version.ts'

export interface ControlPlaneServer {
  readonly controlPlane: ControlPlane
  readonly redis: RedisConnection | undefined
  /** One budget for what comes to the control plane and to the data plane of this process. */
  readonly limits: Limits
  /** Where its listener is. */
  readonly url: string
  close(): Promise<void>
}

/** Scrapers and probes keep their connections, and lose nothing with them. */
const closeTimeoutMs = 200
/** A client that sends too much sees why, if it is not far too much. */
const maxDrainBytes = 8 * 1024 * 1024

interface ControlPlaneServerDeps extends System {
  readonly log: Log
  readonly metrics: Pick<Metrics, 'render' | 'changed' | 'limited' | 'watchBodyMemory'>
  /** What keeps this process, or all its workers, from deciding. */
  readonly trouble: () => Promise<string | undefined> | string | undefined
}

/** The control plane with its listener and what it does by the clock. Throws, with nothing left open. */
export async function startControlPlaneServer(
  config: Config,
  { metrics, trouble, ...system }: ControlPlaneServerDeps,
): Promise<ControlPlaneServer> {
  const { log } = system
  const closers: (() => Promise<unknown> | unknown)[] = []
  async function close() {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    return await start()
  } catch (error) {
    await close()
    throw error
  }

  async function start(): Promise<ControlPlaneServer> {
    const redis = await openConfiguredRedis(config, log)
    if (redis !== undefined) closers.push(redis.close)
    const controlPlane = await openControlPlane(config, {
      ...system,
      announce: () => redis?.announce(),
      onReceipt: metrics.changed,
    })
    closers.push(controlPlane.close)
    const { store, keyRing, clock, verify } = controlPlane
    const limits = createLimits(config, clock, { ...system, redis, metrics })
    // Opens the signing key now, so that a wrong seal key stops the start and not the first message.
    await keyRing.current()

    const { securityContact: contact, publicAdminUrl: publicUrl } = config
    // Only here: the command line and the data plane start without it.
    const { createAdminApp } = await import('./admin/app.ts')
    const app = createAdminApp({
      metrics,
      log,
      jwks: keyRing.jwks,
      management: controlPlane.management,
      limits,
      version: readVersion(),
      clock,
      security: contact === undefined ? undefined : { contact, publicUrl },
      async trouble() {
        await store.ping()
        return trouble()
      },
    })
    const listener = getRequestListener(app.fetch, { overrideGlobalObjects: false })
    const server = await listen(config, { ...system, listener })
    closers.push(server.close)

    const { sweepIntervalMs: intervalMs } = config
    const sweeper = createSweeper({ registry: store, clock, log, intervalMs })
    sweeper.start()
    closers.push(() => sweeper.stop())
    const janitor = createJanitor({ registry: store, clock, log, intervalMs: config.leaseMs })
    janitor.start()
    closers.push(() => janitor.stop())
    if (config.accountDomains !== 'deny') {
      const checks = createDomainChecks({
        registry: store,
        verify,
        clock,
        log,
        // None is late by more than a quarter of the shortest pause.
        intervalMs: config.domainCheckMs / 4,
      })
      checks.start()
      closers.push(() => checks.stop())
    }
    return { controlPlane, redis, limits, url: server.url, close }
  }
}

/** The connection to the Redis of the settings, if they name one. */
export async function openConfiguredRedis({ redisUrl, redisCa }: Config, log: Log) {
  return redisUrl && openRedis(redisUrl, { ca: readRedisCa(redisCa), log })
}

async function listen(
  { adminTlsCert, adminTlsKey, adminListen }: Config,
  {
    listener,
    clock,
    log,
  }: System & { readonly listener: ReturnType<typeof getRequestListener>; readonly log: Log },
) {
  const tls =
    adminTlsCert === undefined || adminTlsKey === undefined
      ? undefined
      : openTlsFiles(adminTlsCert, adminTlsKey, log)
  const server = createGatewayServer(
    { listener, clock, metrics: { answered() {}, inFlight() {} } },
    { ...adminListen, tls: tls?.current(), maxDrainBytes },
  )
  tls?.onChange((renewed) => server.renew(renewed))
  const { host, port } = await naming('POSTERN_ADMIN_LISTEN', server.listen())
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${hostPort(host, port)}`,
    async close() {
      tls?.close()
      await server.close(closeTimeoutMs)
    },
  }
}
