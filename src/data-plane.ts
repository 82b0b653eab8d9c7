import { createHttpApp } from '../middleware/gateway.ts'
import { createGatewayServer } from '../middleware/server.ts'
import type { Stream } from '../middleware/upstreams.ts'
import { createSmtpGateway, type SmtpListener } from '../smtp/server.ts'
import { deriveKey } from './assertion/seal.ts'
import { createAssertionSigner } from './assertion/signer.ts'
import { createRedisCache } from './cache/redis-cache.ts'
import type { Config } from './config.ts'
import type { ControlPlane, System } from './control-plane.ts'
import type { Limits } from './limiting.ts'
import { hostPort, naming } from './listening.ts'
import type { Log } from './log.ts'
import { joinFleet } from './membership.ts'
import type { Metrics } from './metrics.ts'
import type { RedisConnection } from './redis.ts'
import { readSealKey } from './seal-key.ts'
import { readHeadersFile, readUpstreamCa } from './setting-files.ts'
import type { HttpUpstream, ListenAddress, SmtpUpstream } from './setting-parsers.ts'
import { openTlsFiles, type TlsFiles } from './tls-files.ts'

/** Where mail is taken, with the real ports. */
export interface DataPlaneAddresses {
  readonly http: string | null
  readonly https: string | null
  /** `host:port`. */
  readonly smtp: string | null
  readonly smtps: string | null
}

export interface DataPlane {
  readonly addresses: DataPlaneAddresses
  /** What keeps it from deciding, if anything does. */
  trouble(): string | undefined
  /** Stops accepting, finishes what is in flight, and gives up its lease. */
  close(): Promise<void>
}

/** What stands behind the gate. */
export interface Upstreams {
  readonly http: HttpUpstream | undefined
  readonly smtp: SmtpUpstream | undefined
}

interface DataPlaneDeps extends System {
  readonly log: Log
  readonly metrics: Metrics
  readonly controlPlane: Pick<ControlPlane, 'store' | 'keyRing' | 'clock'>
  readonly redis: RedisConnection | undefined
  readonly limits: Limits
  /** `iss` of assertions. */
  readonly issuer: string
  /** Told under which name this process is a node, whenever it gets a new one. */
  readonly onIncarnation?: ((incarnation: string) => void) | undefined
}

/** The two gateways as one node of the fleet. Throws, with nothing left open, when a part cannot be had. */
export async function startDataPlane(
  config: Config,
  upstreams: Upstreams,
  { controlPlane, redis, limits, issuer, onIncarnation, ...system }: DataPlaneDeps,
): Promise<DataPlane> {
  const closers: (() => Promise<unknown> | unknown)[] = []
  /** The last opened is closed first: edges before what they stand on. */
  async function close() {
    for (const closer of closers.splice(0).reverse()) await closer()
  }
  try {
    return await start()
  } catch (error) {
    await close()
    throw error
  }

  async function start(): Promise<DataPlane> {
    const { log, metrics } = system
    const { store, keyRing, clock } = controlPlane
    const tls =
      config.tlsCert === undefined || config.tlsKey === undefined
        ? undefined
        : openTlsFiles(config.tlsCert, config.tlsKey, log)
    if (tls !== undefined) closers.push(() => tls.close())

    const membership = await joinFleet(config, {
      ...system,
      store,
      clock,
      ownClock: system.clock,
      onIncarnation,
      shared:
        redis &&
        ((era) => {
          const macKey = deriveKey(readSealKey(config.sealKeyFile), 'shared cache')
          return createRedisCache({ redis: redis.client, macKey, era, clock })
        }),
    })
    closers.push(membership.leave)
    redis?.listen(membership.hint)

    const { authenticator, trouble } = membership
    const assertions = createAssertionSigner({ keyRing, clock, issuer })
    const edge = { ...system, clock, metrics, authenticator, assertions, limits }
    const edges: (() => Promise<void>)[] = []
    closers.push(() => Promise.all(edges.map((closeEdge) => closeEdge())))
    const http = await startHttp(config, upstreams, edge, tls)
    edges.push(http.close)
    const smtp = await startSmtp(config, upstreams, edge, tls)
    edges.push(smtp.close)
    return { addresses: { ...http.addresses, ...smtp.addresses }, trouble, close }
  }
}

type EdgeDeps = Parameters<typeof createHttpApp>[0] & Parameters<typeof createSmtpGateway>[0]

async function startHttp(
  config: Config,
  upstreams: Upstreams,
  deps: EdgeDeps,
  tls: TlsFiles | undefined,
) {
  const closers: (() => Promise<void>)[] = []
  const addresses: { http: string | null; https: string | null } = { http: null, https: null }
  if (upstreams.http !== undefined) {
    const app = createHttpApp(deps, {
      upstreams: {
        transactional: upstreams.http,
        bulk: config.upstreamHttpBulk,
        sandbox: config.upstreamHttpSandbox,
      },
      hosts: streamHosts(config),
      routes: config.httpRoutes ?? [],
      operatorHeaders: readHeadersFile(config.upstreamHttpHeadersFile),
      maxBodyBytes: config.maxBodyBytes,
      forbiddenStatus: config.httpForbiddenStatus === '401' ? 401 : 403,
      upstreamTimeoutMs: config.upstreamTimeoutMs,
      upstreamCa: readUpstreamCa(config.upstreamCa),
    })
    const listenOn = async (address: ListenAddress, pair: TlsFiles | undefined) => {
      const server = createGatewayServer(
        { ...deps, listener: app.listener },
        { ...address, tls: pair?.current(), maxDrainBytes: config.maxBodyBytes },
      )
      pair?.onChange((renewed) => server.renew(renewed))
      const variable = pair === undefined ? 'POSTERN_HTTP_LISTEN' : 'POSTERN_HTTPS_LISTEN'
      const { host, port } = await naming(variable, server.listen())
      closers.push(() => server.close(config.shutdownTimeoutMs))
      return `${pair === undefined ? 'http' : 'https'}://${hostPort(host, port)}`
    }
    const close = async () => {
      await Promise.all(closers.map((closeOne) => closeOne()))
      await app.close()
    }
    try {
      if (config.httpListen !== undefined) {
        addresses.http = await listenOn(config.httpListen, undefined)
      }
      if (config.httpsListen !== undefined && tls !== undefined) {
        addresses.https = await listenOn(config.httpsListen, tls)
      }
      return { addresses, close }
    } catch (error) {
      await close()
      throw error
    }
  }
  return { addresses, close: async () => {} }
}

async function startSmtp(
  config: Config,
  upstreams: Upstreams,
  deps: EdgeDeps,
  tls: TlsFiles | undefined,
) {
  const listeners: SmtpListener[] = [
    ...(config.smtpListen ?? []).map((at) => smtpListener(at, false, 'transactional')),
    ...(config.smtpsListen ?? []).map((at) => smtpListener(at, true, 'transactional')),
    ...(config.smtpListenBulk ?? []).map((at) => smtpListener(at, false, 'bulk')),
  ]
  if (upstreams.smtp === undefined || listeners.length === 0) {
    return { addresses: { smtp: null, smtps: null }, close: async () => {} }
  }
  const ca = readUpstreamCa(config.upstreamCa)
  const trusting = ca === undefined ? {} : { ca }
  const bulk = config.upstreamSmtpBulk
  const gateway = createSmtpGateway(deps, {
    listeners,
    upstreams: {
      transactional: { ...upstreams.smtp, ...trusting },
      ...(bulk === undefined ? {} : { bulk: { ...bulk, ...trusting } }),
    },
    hostname: config.hostname,
    usernames: config.smtpUsernames,
    allowInsecureAuth: config.allowInsecureAuth,
    maxMessageBytes: config.maxMessageBytes,
    upstreamTimeoutMs: config.upstreamTimeoutMs,
    greetingDelayMs: config.smtpGreetingDelayMs,
    ...(tls === undefined ? {} : { tls }),
  })
  const variables = Object.entries({
    POSTERN_SMTP_LISTEN: config.smtpListen,
    POSTERN_SMTPS_LISTEN: config.smtpsListen,
    POSTERN_SMTP_LISTEN_BULK: config.smtpListenBulk,
  }).flatMap(([variable, given]) => (given === undefined ? [] : [variable]))
  const close = () => gateway.close(config.shutdownTimeoutMs)
  const bound = await naming(
    variables.join(' or '),
    gateway.listen().catch(async (error) => {
      await close()
      throw error
    }),
  )
  const shown = (implicitTls: boolean) => {
    const first = bound.find((listener) => listener.implicitTls === implicitTls)
    return first === undefined ? null : hostPort(first.host, first.port)
  }
  return {
    addresses: { smtp: shown(false), smtps: shown(true) },
    close,
  }
}

function smtpListener(
  { host, port }: ListenAddress,
  implicitTls: boolean,
  stream: SmtpListener['stream'],
): SmtpListener {
  return { host, port, implicitTls, stream }
}

function streamHosts(config: Config): ReadonlyMap<string, Stream> {
  return new Map<string, Stream>([
    ...(config.hostsBulk ?? []).map((host) => [host, 'bulk'] as const),
    ...(config.hostsSandbox ?? []).map((host) => [host, 'sandbox'] as const),
  ])
}
