import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { createAuthFailures } from './limits/auth-failures.ts'
import { createBodyMemory } from './limits/body-memory.ts'
import { networkOf } from './limits/client-network.ts'
import { createRedisCounts } from './limits/redis-counts.ts'
import { createSeats } from './limits/seats.ts'
import { createTokenRate } from './limits/token-rate.ts'
import { createTrustedProxies } from './limits/trusted-proxies.ts'
import { createTurnstile } from './limits/turnstile.ts'
import { createWindowCounts } from './limits/window-counts.ts'
import type { Metrics } from './metrics.ts'
import type { Random } from './random.ts'
import type { RedisConnection } from './redis.ts'

/** A flood from more clients than this has the oldest forgotten. */
const maxClients = 100_000
/** Questions of clients whose budget is spent: at most 100 a second, which no store notices. */
const suspects = { atOnce: 2, maxWaiting: 64, restMs: 20 }

export interface LimitsDeps {
  readonly redis: RedisConnection | undefined
  readonly metrics: Pick<Metrics, 'limited' | 'watchBodyMemory'>
  readonly random: Pick<Random, 'uuid'>
}

export type Limits = ReturnType<typeof createLimits>

/** Every limit on what one client may take from the others, as the settings have it. Undefined: without. */
export function createLimits(
  config: Config,
  clock: Pick<Clock, 'now'>,
  { redis, metrics, random }: LimitsDeps,
) {
  const processId = random.uuid()
  function counts(kind: string, maxKeys: number) {
    const share = redis && createRedisCounts(redis.client, processId, kind)
    return createWindowCounts({ clock, share, maxKeys })
  }
  const { authFailureLimit, tokenRate, connectionLimit, bodyMemoryBytes, maxBodyBytes } = config
  const bodyMemory =
    bodyMemoryBytes === null
      ? undefined
      : createBodyMemory(bodyMemoryBytes, maxBodyBytes, () => metrics.limited('body-memory'))
  if (bodyMemory !== undefined) metrics.watchBodyMemory(bodyMemory.held)
  const proxies = createTrustedProxies(config.trustedProxies ?? [])
  return {
    rate: createTokenRate(counts('calls', config.cacheEntries), tokenRate),
    failures:
      authFailureLimit === null
        ? undefined
        : createAuthFailures(counts('failures', maxClients), authFailureLimit, clock),
    turnstile: createTurnstile(suspects),
    clientSeats:
      connectionLimit.address === null
        ? undefined
        : createSeats(connectionLimit.address, {
            keyOf: (address) => networkOf(address).client,
            onFull: () => metrics.limited('client-connections'),
          }),
    accountSeats:
      connectionLimit.account === null
        ? undefined
        : createSeats(connectionLimit.account, {
            onFull: () => metrics.limited('account-connections'),
          }),
    bodyMemory,
    clientAddress: proxies.clientAddress,
    isTrustedProxy: proxies.includes,
  }
}
