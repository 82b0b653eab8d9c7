import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { credentialSighting, domainSighting, type Moment, type Sighting } from '../core/sighting.ts'
import type { SharedCache } from './cached-lookup.ts'

/** The two commands that are needed of a Redis client. */
export interface RedisCommands {
  get(key: string): Promise<string | null>
  set(key: string, value: string, unit: 'PX', ttlMs: number): Promise<unknown>
}

export interface RedisCacheDeps {
  readonly redis: RedisCommands
  /** Of the nodes that share the cache; nobody else can write what they would believe. */
  readonly macKey: Uint8Array
  readonly era: () => string | undefined
  readonly clock: Pick<Clock, 'monotonic'>
}

/** Long after this a record is judged by what the log has kept; until then it spares many a question. */
const lifetimeMs = 3_600_000
/** After Redis failed it is left alone for so long: one that hangs costs a time-out now and then, not each time. */
const pauseMs = 1_000
/** Changes with the form of what is kept. */
const version = 'v2'

/**
 * Sightings in Redis, for all nodes of a fleet. It may be flushed, restored from an old copy, or written to by anybody:
 * a record is bound to its key by an HMAC (RFC 2104), carries the moment that it was read at, and is judged like any other.
 */
export function createRedisCache({ redis, macKey, era, clock }: RedisCacheDeps): SharedCache {
  const secret = createSecretKey(macKey)
  /** From a failure until an answer, one command in each pause tries whether Redis is back; the others go without it. */
  let isFailing = false
  let pausedUntil = Number.NEGATIVE_INFINITY

  /** Never throws: what Redis cannot say, the store will. */
  async function attempt<T>(command: () => Promise<T>): Promise<T | undefined> {
    if (isFailing) {
      if (clock.monotonic() < pausedUntil) return undefined
      pausedUntil = clock.monotonic() + pauseMs
    }
    try {
      const answer = await command()
      isFailing = false
      return answer
    } catch (error) {
      // An error that Redis itself reports came in time.
      isFailing = !isReply(error)
      pausedUntil = clock.monotonic() + pauseMs
      return undefined
    }
  }

  function keyOf(kind: 'token' | 'domain', name: string, inEra: string): string {
    return `postern:${version}:${inEra}:${kind}:${name}`
  }

  function macOf(key: string, text: string): Buffer {
    return createHmac('sha256', secret).update(`${key}\n${text}`).digest()
  }

  /** What it was, and when; what Redis does not have, or nobody of ours has written, is undefined. */
  async function read<T>(
    kind: 'token' | 'domain',
    name: string,
    sighting: (name: string, value: T, moment: Moment) => Sighting<T>,
  ): Promise<Sighting<T> | undefined> {
    const current = era()
    if (current === undefined) return undefined
    const key = keyOf(kind, name, current)
    const kept = await attempt(() => redis.get(key))
    if (typeof kept !== 'string') return undefined
    const dot = kept.indexOf('.')
    const text = kept.slice(dot + 1)
    const given = Buffer.from(kept.slice(0, dot), 'base64url')
    const expected = macOf(key, text)
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
    // Only a node of ours can have written this.
    const { value, era: readIn, epoch } = JSON.parse(text)
    return sighting(name, value, { era: readIn, epoch })
  }

  function keep(kind: 'token' | 'domain', name: string, sighting: Sighting<unknown>) {
    const { value, era: readIn, epoch } = sighting
    const key = keyOf(kind, name, readIn)
    // Written out now: the sighting's epoch rises with what its own node learns, which proves nothing to others.
    const text = JSON.stringify({ value, era: readIn, epoch })
    const kept = `${macOf(key, text).toString('base64url')}.${text}`
    void attempt(() => redis.set(key, kept, 'PX', lifetimeMs))
  }

  return {
    findCredential: (digest) => read('token', digest, credentialSighting),
    findDomain: (name) => read('domain', name, domainSighting),
    keepCredential: (digest, sighting) => keep('token', digest, sighting),
    keepDomain: (name, sighting) => keep('domain', name, sighting),
  }
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === 'ReplyError'
}
