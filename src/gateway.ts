import { renameSync, writeFileSync } from 'node:fs'
import { getRequestListener } from '@hono/node-server'
import { createHttpApp, type Stream } from '../middleware/gateway.ts'
import { createGatewayServer } from '../middleware/server.ts'
import { createSmtpGateway, type SmtpListener } from '../smtp/server.ts'
import { createAdminApp } from './admin/app.ts'
import { deriveKey } from './assertion/seal.ts'
import { createAssertionSigner } from './assertion/signer.ts'
import { createRedisCache } from './cache/redis-cache.ts'
import type { Config } from './config.ts'
import { type ControlPlane, openControlPlane, type System } from './control-plane.ts'
import type { Log } from './log.ts'
import { joinFleet, type Membership } from './membership.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { openRedis } from './redis.ts'
import { readSealKey } from './seal-key.ts'
import { createSweeper } from './service/sweep.ts'
import { readHeadersFile, readRedisCa, readUpstreamCa } from './setting-files.ts'
import type { HttpUpstream, ListenAddress, SmtpUpstream } from './setting-parsers.ts'
import { openTlsFiles, type TlsFiles } from './tls-files.ts'

/** Where the gate can be reached, with the real ports. */
export interface Addresses {
  readonly http: string | null
  readonly https: string | null
  /** `host:port`. */
  readonly smtp: string | null
  readonly smtps: string | null
  readonly admin: string
}

export interface Gateway {
  readonly addresses: Addresses
  readonly controlPlane: ControlPlane
  /** Stops accepting, finishes what is in flight, and lets go of everything. */
  close(): Promise<void>
}

/** What stands behind the gate. */
export interface Upstreams {
  readonly http: HttpUpstream | undefined
  readonly smtp: SmtpUpstream | undefined
}

/** Builds every part and connects it. Throws, with nothing left open, when a part cannot be had. */
export async function startGateway(
  config: Config,
  upstreams: Upstreams,
  system: System & { readonly log: Log },
): Promise<Gateway> {
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

  async function start(): Promise<Gateway> {
    const { log, random } = system
    const redis =
      config.redisUrl &&
      (await openRedis(config.redisUrl, { ca: readRedisCa(config.redisCa), log }))
    if (redis !== undefined) closers.push(redis.close)
    const controlPlane = await openControlPlane(config, {
      ...system,
      announce: () => redis?.announce(),
    })
    const { store, keyRing, clock } = controlPlane
    closers.push(controlPlane.close)
    // Opens the signing key now, so that a wrong seal key stops the start and not the first message.
    await keyRing.current()

    const metrics = createMetrics()
    const tls =
      config.tlsCert === undefined || config.tlsKey === undefined
        ? undefined
        : openTlsFiles(config.tlsCert, config.tlsKey, log)
    if (tls !== undefined) closers.push(() => tls.close())

    const membership = await joinFleet(config, {
      store,
      clock,
      random,
      log,
      metrics,
      shared:
        redis &&
        ((era) => {
          const macKey = deriveKey(readSealKey(config.sealKeyFile), 'shared cache')
          return createRedisCache({ redis: redis.client, macKey, era, clock })
        }),
    })
    closers.push(membership.leave)
    redis?.listen(membership.hint)

    const admin = await startAdmin(config, { controlPlane, membership, metrics, log, clock })
    closers.push(admin.close)

    const sweeper = createSweeper({
      registry: store,
      clock,
      log,
      intervalMs: config.sweepIntervalMs,
    })
    sweeper.start()
    closers.push(() => sweeper.stop())

    const issuer = config.publicAdminUrl ?? admin.url
    const assertions = createAssertionSigner({ keyRing, clock, issuer })
    const { authenticator } = membership
    const edge = { ...system, clock, metrics, authenticator, assertions }
    const edges: (() => Promise<void>)[] = []
    closers.push(() => Promise.all(edges.map((closeEdge) => closeEdge())))
    const http = await startHttp(config, upstreams, edge, tls)
    edges.push(http.close)
    const smtp = await startSmtp(config, upstreams, edge, tls)
    edges.push(smtp.close)

    return {
      addresses: { ...http.addresses, ...smtp.addresses, admin: admin.url },
      controlPlane,
      close,
    }
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
      closers.push(() => server.close(config.shutdownTimeoutMs))
      pair?.onChange((renewed) => server.renew(renewed))
      const variable = pair === undefined ? 'POSTERN_HTTP_LISTEN' : 'POSTERN_HTTPS_LISTEN'
      const { host, port } = await naming(variable, server.listen())
      return `${pair === undefined ? 'http' : 'https'}://${hostPort(host, port)}`
    }
    if (config.httpListen !== undefined) {
      addresses.http = await listenOn(config.httpListen, undefined)
    }
    if (config.httpsListen !== undefined && tls !== undefined) {
      addresses.https = await listenOn(config.httpsListen, tls)
    }
    return {
      addresses,
      async close() {
        await Promise.all(closers.map((close) => close()))
        await app.close()
      },
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
    ...(tls === undefined ? {} : { tls }),
  })
  const variables = Object.entries({
    POSTERN_SMTP_LISTEN: config.smtpListen,
    POSTERN_SMTPS_LISTEN: config.smtpsListen,
    POSTERN_SMTP_LISTEN_BULK: config.smtpListenBulk,
  }).flatMap(([variable, given]) => (given === undefined ? [] : [variable]))
  const bound = await naming(variables.join(' or '), gateway.listen())
  const shown = (implicitTls: boolean) => {
    const first = bound.find((listener) => listener.implicitTls === implicitTls)
    return first === undefined ? null : hostPort(first.host, first.port)
  }
  return {
    addresses: { smtp: shown(false), smtps: shown(true) },
    close: () => gateway.close(config.shutdownTimeoutMs),
  }
}

async function startAdmin(
  config: Config,
  {
    controlPlane,
    membership,
    metrics,
    log,
    clock,
  }: {
    controlPlane: ControlPlane
    membership: Membership
    metrics: Metrics
    log: Log
    clock: System['clock']
  },
) {
  const { store, keyRing } = controlPlane
  async function trouble() {
    await store.ping()
    return membership.trouble()
  }
  const app = createAdminApp({ metrics, log, jwks: keyRing.jwks, trouble })
  const { adminTlsCert, adminTlsKey } = config
  const tls =
    adminTlsCert === undefined || adminTlsKey === undefined
      ? undefined
      : openTlsFiles(adminTlsCert, adminTlsKey, log)
  const server = createGatewayServer(
    {
      listener: getRequestListener(app.fetch, { overrideGlobalObjects: false }),
      clock,
      metrics: { answered() {}, inFlight() {} },
    },
    { ...config.adminListen, tls: tls?.current(), maxDrainBytes: 0 },
  )
  tls?.onChange((renewed) => server.renew(renewed))
  const { host, port } = await naming('POSTERN_ADMIN_LISTEN', server.listen())
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${hostPort(host, port)}`,
    async close() {
      tls?.close()
      await server.close(1_000)
    },
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

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Tells whoever waits for it that everything listens: whole or not at all. */
export function writeReadyFile(file: string, content: Readonly<Record<string, unknown>>) {
  const draft = `${file}.${process.pid}.tmp`
  try {
    writeFileSync(draft, `${JSON.stringify(content)}\n`, { mode: 0o600 })
    renameSync(draft, file)
  } catch (error) {
    throw new Error(`POSTERN_READY_FILE cannot be written: ${reasonOf(error)}`, { cause: error })
  }
}

/** A port that is taken is the most common fault of a start: the error says which setting moves it. */
async function naming<T>(variable: string, listening: Promise<T>): Promise<T> {
  try {
    return await listening
  } catch (error) {
    throw new Error(`${variable} cannot be used: ${reasonOf(error)}`, { cause: error })
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
