import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createRedisCounts } from '../../src/limits/redis-counts.ts'
import { createWindowCounts } from '../../src/limits/window-counts.ts'
import { openRedis } from '../../src/redis.ts'
import { redisTarget } from '../../src/setting-parsers.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { type RedisGroup, startRedis, startRedisCluster } from '../helpers/redis.ts'

const rate = { limit: 10, windowMs: 60_000 }
const clock = createFakeClock()
const window = Math.floor(clock.now() / rate.windowMs)

describe.each([
  ['one server', startRedis],
  ['a cluster', startRedisCluster],
])('with %s', (_name, start) => {
  let group: RedisGroup
  beforeAll(async () => {
    group = await start()
  }, 60_000)
  afterAll(() => group.stop())

  async function openProcess(name: string) {
    const log = { warn: () => {}, info: () => {} }
    const redis = await openRedis(redisTarget(group.url), { log })
    onTestFinished(() => redis.close())
    const share = createRedisCounts(redis.client, name, 'calls')
    const counts = createWindowCounts({ clock, share, maxKeys: 10 })
    /** The client of a cluster connects to a server only when a key of it is asked for. */
    async function reach(key: string) {
      const isReached = () =>
        share(key, 0, 1_000).then(
          () => true,
          () => false,
        )
      await expect.poll(isReached).toBe(true)
    }
    return { share, counts, reach }
  }

  test('processes add up, and what one of them tells again counts once', async () => {
    const [one, other] = await Promise.all([openProcess('one'), openProcess('other')])
    await Promise.all([one.reach('again'), other.reach('again')])
    expect(await one.share('again', 3, 60_000)).toBe(3)
    expect(await one.share('again', 3, 60_000)).toBe(3)
    expect(await other.share('again', 4, 60_000)).toBe(7)
    // A process that has forgotten a count takes nothing from what it told.
    expect(await one.share('again', 1, 60_000)).toBe(7)
    expect(await one.share('again', 5, 60_000)).toBe(9)
  })

  test('what a slow Redis was told in vain, and heard all the same, counts once', async () => {
    const { counts, share, reach } = await openProcess('slow')
    const key = `slow:${rate.windowMs}:${window}`
    const total = () => share(key, 0, 1_000).catch(() => 0)
    await Promise.all([reach(key), reach('unanswered')])
    for (const server of group.servers) server.pause()
    for (let i = 1; i <= 5; i++) {
      expect(counts.add('slow', rate)).toBe(i)
      // Asked later than that, this one is given up later.
      await expect(share('unanswered', 1, 1_000)).rejects.toThrow()
    }
    for (const server of group.servers) server.resume()
    await expect.poll(total).toBe(5)
    expect(counts.add('slow', rate)).toBe(6)
    await expect.poll(total).toBe(6)
    expect(counts.add('slow', rate)).toBe(7)
  })
})
