import type { ShareCount } from './window-counts.ts'

/** The one command that is needed of a Redis client. */
export interface RedisScripts {
  eval(script: string, keyCount: number, ...args: (string | number)[]): Promise<unknown>
}

/** In one step, so that no key stays without an end. */
const addScript = `local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if count == tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count`

/** Counts that the nodes of a fleet share. Each is one key, so that it works in a cluster too. */
export function createRedisCounts(redis: RedisScripts): ShareCount {
  return async function shareCount(key, amount, lifetimeMs) {
    return Number(await redis.eval(addScript, 1, `postern:count:${key}`, amount, lifetimeMs))
  }
}
