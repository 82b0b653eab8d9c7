import type { ShareCount } from './window-counts.ts'

/** The one command that is needed of a Redis client. */
export interface RedisScripts {
  eval(script: string, keyCount: number, ...args: (string | number)[]): Promise<unknown>
}

/** In one step, so that no key stays without an end. A process that has forgotten a count tells less than it did before. */
const tellScript = `local told = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if tonumber(ARGV[2]) > told then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
local total = 0
for _, count in ipairs(redis.call('HVALS', KEYS[1])) do total = total + tonumber(count) end
return total`

/**
 * Counts of one kind that the nodes of a fleet share. Each is one key, so that it works in a cluster too, and holds what each
 * process has counted: a command that is repeated, because its answer was late, adds nothing.
 */
export function createRedisCounts(
  redis: RedisScripts,
  processId: string,
  kind: string,
): ShareCount {
  return async function shareCount(key, own, lifetimeMs) {
    const redisKey = `postern:count:${kind}:${key}`
    return Number(await redis.eval(tellScript, 1, redisKey, processId, own, lifetimeMs))
  }
}
