import { createHttpApp, type HttpGatewayOptions } from '../../middleware/gateway.ts'
import { createGatewayServer } from '../../middleware/server.ts'
import { createAssertionSigner } from '../../src/assertion/signer.ts'
import { createRecentTokens } from '../../src/cache/recent-tokens.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { systemRandom } from '../../src/random.ts'
import { createAuthenticator } from '../../src/service/authenticate.ts'
import type { Lookup, Trust } from '../../src/service/ports/lookup.ts'
import { httpUpstream } from '../../src/setting-parsers.ts'
import { createTestKeyRing } from './key-ring.ts'

/** The whole HTTP gateway on a real port, over a store in memory. */
export async function startHttpGateway(
  lookup: Lookup,
  upstreamUrl: string,
  { trust, ...more }: Partial<HttpGatewayOptions> & { readonly trust?: Trust } = {},
) {
  const logged: Record<string, unknown>[] = []
  const log = createLog('debug', { write: (line) => logged.push(JSON.parse(line)) })
  const clock = systemClock
  const metrics = createMetrics()
  const keyRing = createTestKeyRing(clock)
  const app = createHttpApp(
    {
      authenticator: createAuthenticator({
        lookup,
        clock,
        recentTokens: createRecentTokens(100),
        tokenPrefix: 'pst_',
        ...(trust && { trust }),
      }),
      assertions: createAssertionSigner({ keyRing, clock, issuer: 'https://gate.test' }),
      clock,
      random: systemRandom,
      log,
      metrics,
    },
    {
      upstreams: { transactional: httpUpstream(upstreamUrl) },
      hosts: new Map(),
      routes: [],
      operatorHeaders: [],
      maxBodyBytes: 52_428_800,
      forbiddenStatus: 403,
      upstreamTimeoutMs: 5_000,
      ...more,
    },
  )
  const server = createGatewayServer(
    { listener: app.listener, clock, metrics },
    { host: '127.0.0.1', port: 0, maxDrainBytes: more.maxBodyBytes ?? 52_428_800 },
  )
  const { port } = await server.listen()
  let closed: Promise<void> | undefined
  return {
    url: `http://127.0.0.1:${port}`,
    logged,
    metrics,
    keyRing,
    /** Stops accepting and finishes what is in flight. */
    close(deadlineMs = 100) {
      closed ??= server.close(deadlineMs).then(app.close)
      return closed
    },
  }
}

export type TestHttpGateway = Awaited<ReturnType<typeof startHttpGateway>>
