import { onTestFinished } from 'vitest'
import { createSmtpGateway, type SmtpGatewayOptions, type SmtpLimits } from '../../smtp/server.ts'
import { createAssertionSigner } from '../../src/assertion/signer.ts'
import { createRecentTokens } from '../../src/cache/recent-tokens.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/log.ts'
import { createMetrics } from '../../src/metrics.ts'
import { createAuthenticator } from '../../src/service/authenticate.ts'
import type { Lookup, Trust } from '../../src/service/ports/lookup.ts'
import { createTestKeyRing } from './key-ring.ts'

/** The whole SMTP gateway on a real port, over a store in memory. */
export async function startSmtpGateway(
  lookup: Lookup,
  relayPort: number,
  {
    trust,
    limits,
    decisionClock = systemClock,
    ...more
  }: Partial<SmtpGatewayOptions> & {
    readonly trust?: Trust
    readonly limits?: SmtpLimits
    readonly decisionClock?: Pick<Clock, 'now'>
  } = {},
) {
  const logged: Record<string, unknown>[] = []
  const log = createLog('debug', { write: (line) => logged.push(JSON.parse(line)) })
  const clock = systemClock
  const keyRing = createTestKeyRing(clock)
  const gateway = createSmtpGateway(
    {
      authenticator: createAuthenticator({
        lookup,
        clock: decisionClock,
        recentTokens: createRecentTokens(100),
        tokenPrefix: 'pst_',
        ...(trust && { trust }),
      }),
      assertions: createAssertionSigner({ keyRing, clock, issuer: 'https://gate.test' }),
      clock,
      log,
      metrics: createMetrics(),
      limits,
    },
    {
      listeners: [{ host: '127.0.0.1', port: 0, implicitTls: false, stream: 'transactional' }],
      upstreams: { transactional: { host: '127.0.0.1', port: relayPort, security: 'none' } },
      hostname: 'gate.test',
      usernames: ['api', 'smtp@mailtrap.io'],
      allowInsecureAuth: true,
      maxMessageBytes: 31_457_280,
      upstreamTimeoutMs: 5_000,
      // By default it comes after 100 ms, which each test would wait for.
      greetingDelayMs: 0,
      ...more,
    },
  )
  const listeners = await gateway.listen()
  let closed: Promise<void> | undefined
  function close(deadlineMs = 200) {
    closed ??= gateway.close(deadlineMs)
    return closed
  }
  onTestFinished(() => close())
  return {
    addresses: listeners.map(({ host, port }) => `${host}:${port}`),
    address: `${listeners[0]?.host}:${listeners[0]?.port}`,
    keyRing,
    logged,
    close,
  }
}
