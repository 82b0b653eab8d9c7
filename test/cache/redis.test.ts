import { createServer, type Socket } from 'node:net'
import { resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createRedisCache } from '../../src/cache/redis-cache.ts'
import { digestToken } from '../../src/core/token.ts'
import { redisTarget } from '../../src/setting-parsers.ts'
import { createFakeClock } from '../helpers/fake-clock.ts'
import { runProgram } from '../helpers/program.ts'
import {
  type RedisGroup,
  startRedis,
  startRedisCluster,
  startRedisSentinel,
  startRedisWithTls,
} from '../helpers/redis.ts'
import { createGate, macKey, share, token } from '../helpers/redis-gate.ts'

/** Gates that share a Redis: faster for it, and never wrong because of it. */

describe.each([
  ['one server', startRedis],
  ['one server with TLS', startRedisWithTls],
  ['Sentinel', startRedisSentinel],
  ['a cluster', startRedisCluster],
])('with %s', (_name, start) => {
  let group: RedisGroup
  beforeAll(async () => {
    group = await start()
  }, 60_000)
  afterAll(() => group.stop())

  test('what one gate has read spares the others the question', async () => {
    await share(group)
    const other = await createGate(group)
    await other.settled()
    expect((await other.find(token)).value).toMatchObject({ accountId: 1 })
    expect((await other.lookup.findDomain('acme.test')).value).toMatchObject({ name: 'acme.test' })
    expect(other.store.questions).toBe(0)
  })

  test('what one gate announces reaches the others', async () => {
    const [one, other] = [await createGate(group), await createGate(group)]
    await one.settled()
    let heard = 0
    other.redis.listen(() => {
      heard += 1
    })
    // The first call is for the connection itself.
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(1)
    one.redis.announce()
    await expect.poll(() => heard, { timeout: 5_000 }).toBe(2)
  })
})

describe('what Redis answers', () => {
  let group: RedisGroup
  beforeAll(async () => {
    group = await startRedis()
  }, 60_000)
  afterAll(() => group.stop())
  beforeEach(async () => {
    await group.client().flushall()
  })

  /** Changes every value in Redis. */
  async function corrupt(change: (key: string, value: string) => string) {
    const client = group.client()
    const keys = await client.keys('*')
    expect(keys.length).toBeGreaterThanOrEqual(2)
    for (const key of keys) await client.set(key, change(key, (await client.get(key)) ?? ''))
  }

  async function expectQuestions(number: number, key = macKey) {
    const other = await createGate(group, key)
    other.store.allow(token, ['acme.test'])
    await other.settled()
    expect((await other.find(token)).value).toBeDefined()
    expect((await other.lookup.findDomain('acme.test')).value).toBeDefined()
    expect(other.store.questions).toBe(number)
  }

  test('is believed when a gate has written it', async () => {
    await share(group)
    await expectQuestions(0)
  })

  test.each<[string, (key: string, value: string) => string]>([
    ['nothing', () => ''],
    ['nonsense', () => 'nonsense'],
    ['a record without its code', (_key, value) => value.slice(value.indexOf('.'))],
    ['a record with a changed grant', (_key, value) => value.replace('admin', 'admim')],
    ['a record with a later moment', (_key, value) => value.replace('"epoch":0', '"epoch":9')],
    ['a record that is cut off', (_key, value) => value.slice(0, -1)],
  ])('is not believed when it is %s', async (_name, change) => {
    await share(group)
    await corrupt(change)
    const other = await createGate(group)
    other.store.allow(token, ['acme.test'])
    await other.settled()
    expect((await other.find(token)).value).toBeDefined()
    expect(other.store.questions).toBe(1)
  })

  test('is not believed of one token when it was written of another', async () => {
    const gate = await share(group)
    gate.store.allow('other-token', ['acme.test', 'other.test'])
    await gate.find('other-token')
    await gate.settled()
    const client = group.client()
    const [own, others] = [token, 'other-token'].map(
      (t) => `postern:v2:test:token:${digestToken(t)}`,
    )
    await client.set(own ?? '', (await client.get(others ?? '')) ?? '')
    const other = await createGate(group)
    other.store.allow(token, ['acme.test'])
    await other.settled()
    expect((await other.find(token)).value?.grants).toHaveLength(1)
    expect(other.store.questions).toBe(1)
  })

  test('is not believed when it was written with another seal key', async () => {
    await share(group)
    await expectQuestions(2, new Uint8Array(32).fill(8))
  })

  test('of the wrong type is no answer', async () => {
    await share(group)
    const client = group.client()
    for (const key of await client.keys('*')) {
      await client.del(key)
      await client.lpush(key, 'x')
    }
    await expectQuestions(2)
  })

  test('is read again when the token was deleted since, also when an old copy comes back', async () => {
    const gate = await share(group)
    const client = group.client()
    const key = `postern:v2:test:token:${digestToken(token)}`
    const old = (await client.get(key)) ?? ''
    gate.revoke(token)
    await client.set(key, old)
    expect((await gate.find(token)).value).toBeUndefined()
  })

  test('is not believed after a restart from an old copy that still has a deleted token', async () => {
    const gate = await share(group)
    await group.client().save()
    gate.revoke(token)
    await group.client().flushall()
    await group.servers[0]?.kill()
    await group.servers[0]?.start()
    await gate.settled()
    const key = `postern:v2:test:token:${digestToken(token)}`
    expect(await group.client().exists(key)).toBe(1)
    expect((await gate.find(token)).value).toBeUndefined()
  })

  test('is nothing after it was flushed, and everything still works', async () => {
    const gate = await share(group)
    await group.client().flushall()
    expect((await gate.find(token)).value).toBeDefined()
    await expectQuestions(2)
  })

  test('never says that there is nothing', async () => {
    const gate = await createGate(group)
    await gate.settled()
    await gate.find('nobody')
    await gate.settled()
    expect(await group.client().keys('*')).toEqual([])
  })
})

describe('a Redis that fails', () => {
  let group: RedisGroup
  beforeEach(async () => {
    group = await startRedis()
    onTestFinished(() => group.stop())
  })

  test('by being killed makes no answer wrong, and is used again when it is back', async () => {
    const gate = await share(group)
    await group.servers[0]?.kill()
    gate.store.allow('other-token', ['acme.test'])
    expect((await gate.find('other-token')).value).toBeDefined()
    expect((await gate.find('nobody')).value).toBeUndefined()
    await group.servers[0]?.start()
    await gate.settled()
    const client = group.client()
    await expect
      .poll(
        async () => {
          gate.store.allow('third-token', ['acme.test'])
          gate.change('third-token', () => {})
          gate.catchUp()
          await gate.find('third-token')
          return (await client.keys('*')).length
        },
        { timeout: 5_000, interval: 200 },
      )
      .toBeGreaterThan(0)
  })

  test('by standing still costs one time-out, and not one for each question', async () => {
    const gate = await share(group)
    group.servers[0]?.pause()
    const asked = { commands: 0 }
    const { get } = gate.redis.client
    gate.redis.client.get = ((...args: Parameters<typeof get>) => {
      asked.commands += 1
      return get.apply(gate.redis.client, args)
    }) as typeof get
    for (let i = 0; i < 20; i++) {
      gate.store.allow(`t${i}`, ['acme.test'])
      expect((await gate.find(`t${i}`)).value).toBeDefined()
    }
    expect(asked.commands).toBe(1)
    group.servers[0]?.resume()
  })
})

test('of many who ask after a pause one tries Redis, and the others do not wait for it', async () => {
  const clock = createFakeClock()
  const answers: PromiseWithResolvers<null>[] = []
  const cache = createRedisCache({
    redis: {
      get() {
        const answer = Promise.withResolvers<null>()
        answers.push(answer)
        return answer.promise
      },
      set: async () => 'OK',
    },
    macKey,
    era: () => 'test',
    clock,
  })
  const first = cache.findCredential('a')
  answers[0]?.reject(new Error('Command timed out'))
  await first
  clock.advance(1_001)
  const trial = cache.findCredential('b')
  const others = Array.from({ length: 50 }, (_, i) => cache.findCredential(`c${i}`))
  expect(await Promise.all(others)).toEqual(others.map(() => undefined))
  expect(answers).toHaveLength(2)
  answers[1]?.resolve(null)
  await trial
  // It answers again, so all may ask.
  void cache.findCredential('d')
  void cache.findCredential('e')
  expect(answers).toHaveLength(4)
})

test('an error that Redis reports is an answer, and no reason to leave it alone', async () => {
  let asked = 0
  const cache = createRedisCache({
    redis: {
      async get() {
        asked += 1
        throw Object.assign(new Error('WRONGTYPE'), { name: 'ReplyError' })
      },
      set: async () => 'OK',
    },
    macKey,
    era: () => 'test',
    clock: createFakeClock(),
  })
  expect(await cache.findCredential('a')).toBeUndefined()
  expect(await cache.findCredential('a')).toBeUndefined()
  expect(asked).toBe(2)
})

test('a program without Redis never loads its driver', async () => {
  const look = `
    const { createRequire } = await import('node:module')
    const { cache } = createRequire(import.meta.url)
    const isLoaded = () => Object.keys(cache).some((file) => file.includes('/node_modules/ioredis/'))
    await import('${resolve('src/gateway.ts')}')
    const { openRedis } = await import('${resolve('src/redis.ts')}')
    const before = isLoaded()
    const target = { form: 'single', tls: false, hosts: [{ host: '127.0.0.1', port: 1 }], database: 0, name: '' }
    ;(await openRedis(target, { log: { warn() {}, info() {} } })).close()
    console.log(JSON.stringify([before, isLoaded()]))`
  const ended = await runProgram(process.execPath, ['--input-type=module', '--eval', look])
  expect(ended.stdout.trim()).toBe('[false,true]')
})

test.each<[string, (socket: Socket) => void]>([
  ['answers nonsense', (socket) => socket.on('data', () => socket.write('nonsense\r\n'))],
  ['answers with an error', (socket) => socket.on('data', () => socket.write('-ERR no\r\n'))],
  ['says nothing', (socket) => socket.resume()],
  ['hangs up', (socket) => socket.destroy()],
])('a server that %s in place of Redis makes no answer wrong', async (_name, serve) => {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    serve(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const gate = await createGate({ url: `redis://127.0.0.1:${address.port}`, ca: undefined })
  gate.store.allow(token, ['acme.test'])
  await expect.poll(() => sockets.size).toBeGreaterThan(0)
  expect((await gate.find(token)).value).toBeDefined()
  expect((await gate.find('nobody')).value).toBeUndefined()
})

describe('the setting', () => {
  test.each([
    [
      'redis://127.0.0.1',
      { form: 'single', tls: false, hosts: [{ host: '127.0.0.1', port: 6379 }] },
    ],
    ['redis://user:p%40ss@h:7/3', { username: 'user', password: 'p@ss', database: 3 }],
    [
      'rediss://:secret@[::1]:7',
      { tls: true, password: 'secret', hosts: [{ host: '::1', port: 7 }] },
    ],
    [
      'redis-sentinel://a,b:7/gates/2',
      {
        form: 'sentinel',
        name: 'gates',
        database: 2,
        hosts: [
          { host: 'a', port: 26379 },
          { host: 'b', port: 7 },
        ],
      },
    ],
    ['rediss-cluster://a:1,b:2', { form: 'cluster', tls: true }],
  ])('%s is read', (url, expected) => {
    expect(redisTarget(url)).toMatchObject(expected)
  })

  test.each([
    'redis',
    'http://h',
    'redis://',
    'redis://a,b',
    'redis://h:99999',
    'redis://h/x',
    'redis://h/1/2',
    'redis-sentinel://h',
    'redis-cluster://h/1',
    'redis://user:secret@h:port',
    'redis://user:secret%zz@h',
    'redis-sentinel://h/%zz',
    'redis://h:0',
  ])('%s is refused, and its password not repeated', (url) => {
    expect(() => redisTarget(url)).toThrow(/^must be redis:\/\//)
    expect(() => redisTarget(url)).not.toThrow(/secret/)
  })
})
