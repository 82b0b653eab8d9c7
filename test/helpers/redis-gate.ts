import { expect, onTestFinished } from 'vitest'
import { createRedisCache } from '../../src/cache/redis-cache.ts'
import { systemClock } from '../../src/clock.ts'
import { digestToken } from '../../src/core/token.ts'
import { openRedis } from '../../src/redis.ts'
import { redisTarget } from '../../src/setting-parsers.ts'
import { createMemoryNode } from './memory-node.ts'
import type { RedisGroup } from './redis.ts'

export const macKey = new Uint8Array(32).fill(7)
export const token = '4c2446b6e0f911ec94870a58a9feac02'

const log = { warn() {}, info() {} }

/** A gate's cache over a store of its own, so that what it did not have to ask is seen. */
export async function createGate(group: Pick<RedisGroup, 'url' | 'ca'>, key = macKey) {
  const redis = await openRedis(redisTarget(group.url), { ca: group.ca, log })
  onTestFinished(() => redis.close())
  const node = createMemoryNode({
    shared: createRedisCache({
      redis: redis.client,
      macKey: key,
      era: () => 'test',
      clock: systemClock,
    }),
  })
  return {
    ...node,
    redis,
    find: (bearerToken: string) => node.lookup.findCredential(digestToken(bearerToken)),
    /** Connected, and everything that it wanted to keep is kept. */
    async settled() {
      await expect.poll(() => redis.client.status, { timeout: 5_000 }).toBe('ready')
      await redis.client.echo('done')
    },
  }
}

/** One gate has read a token, and told Redis. */
export async function share(group: Pick<RedisGroup, 'url' | 'ca'>) {
  const gate = await createGate(group)
  gate.store.allow(token, ['acme.test'])
  await gate.settled()
  await gate.find(token)
  await gate.lookup.findDomain('acme.test')
  await gate.settled()
  return gate
}
