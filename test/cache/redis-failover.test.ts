import { createServer } from 'node:net'
import type { Redis } from 'ioredis'
import { describe, expect, onTestFinished, test } from 'vitest'
import { digestToken } from '../../src/core/token.ts'
import { freePort } from '../helpers/free-port.ts'
import { type RedisServer, startRedisCluster, startRedisSentinel } from '../helpers/redis.ts'
import { createGate, token } from '../helpers/redis-gate.ts'

/** Gates follow Redis to where it is, also from a server that keeps its connections and says nothing. */

describe('a primary that Sentinel replaces', () => {
  test.each<[string, (server: RedisServer) => unknown]>([
    ['was killed', (server) => server.kill()],
    ['stands still', (server) => server.pause()],
  ])(
    'because it %s is left by every gate, for its cache and for what it hears',
    async (_name, fail) => {
      const group = await startRedisSentinel()
      onTestFinished(() => group.stop())
      const [primary, replica] = group.servers
      if (primary === undefined || replica === undefined) throw new Error('no pair')
      const [one, other] = [await createGate(group), await createGate(group)]
      await one.settled()
      let heard = 0
      other.redis.listen(() => {
        heard += 1
      })
      await expect.poll(() => heard, { timeout: 5_000 }).toBe(1)

      await fail(primary)
      const promoted = group.client(replica)
      let asked = 0
      const limit = { timeout: 20_000, interval: 100 }
      await expect
        .poll(async () => {
          const fresh = `fresh-${asked++}`
          one.store.allow(fresh, ['acme.test'])
          expect((await one.find(fresh)).value).toBeDefined()
          return promoted.exists(`postern:v2:test:token:${digestToken(fresh)}`)
        }, limit)
        .toBe(1)
      // It hears again: what it may have missed, and what is announced from now on.
      await expect.poll(() => heard, limit).toBeGreaterThan(1)
      const before = heard
      one.redis.announce()
      await expect.poll(() => heard, limit).toBeGreaterThan(before)
    },
    60_000,
  )
})

test('a cluster that is down is believed at once, and not asked again until the caller has left', async () => {
  const group = await startRedisCluster()
  onTestFinished(() => group.stop())
  const gate = await createGate(group)
  await gate.settled()
  await group.servers[1]?.kill()
  const survivor = group.client()
  await expect
    .poll(() => survivor.call('cluster', 'info'), { timeout: 10_000 })
    .toContain('cluster_state:fail')
  // A key whose slot is with a server that answers.
  const ofSurvivor = await keyOfServer(survivor)
  await expect(gate.redis.client.get(ofSurvivor)).rejects.toThrow('CLUSTERDOWN')
  gate.store.allow(token, ['acme.test'])
  expect((await gate.find(token)).value).toBeDefined()
}, 60_000)

test.each<[string, (server: RedisServer) => unknown]>([
  ['was killed', (server) => server.kill()],
  ['stands still', (server) => server.pause()],
])(
  'a primary of a cluster that %s is left for the replica that takes its place',
  async (_name, fail) => {
    const group = await startRedisCluster({ replicas: 1 })
    onTestFinished(() => group.stop())
    const [one, other] = [await createGate(group), await createGate(group)]
    await one.settled()
    await other.settled()
    const [primary] = group.servers
    if (primary === undefined) throw new Error('no primary')
    const ofPrimary = await keyOfServer(group.client(primary))
    await one.redis.client.set(ofPrimary, 'before')
    await fail(primary)
    const limit = { timeout: 20_000, interval: 100 }
    for (const { redis } of [one, other]) {
      await expect.poll(() => redis.client.set(ofPrimary, 'after').catch(String), limit).toBe('OK')
      await expect.poll(() => redis.client.get(ofPrimary).catch(String), limit).toBe('after')
    }
  },
  60_000,
)

/** The first server of the cluster has the lowest slots. */
async function keyOfServer(client: Redis): Promise<string> {
  for (let i = 0; ; i++) {
    if (Number(await client.call('cluster', 'keyslot', `key-${i}`)) < 5_000) return `key-${i}`
  }
}

test('a Sentinel that says nothing does not keep the others from being asked', async () => {
  const group = await startRedisSentinel()
  onTestFinished(() => group.stop())
  const mute = createServer((socket) => socket.on('error', () => {}).resume())
  const port = await freePort()
  await new Promise<void>((resolve) => mute.listen(port, '127.0.0.1', resolve))
  onTestFinished(() => void mute.close())
  const gate = await createGate({ ...group, url: group.url.replace('@', `@127.0.0.1:${port},`) })
  await gate.settled()
}, 60_000)
