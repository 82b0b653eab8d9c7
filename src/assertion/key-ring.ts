import { createPrivateKey, type KeyObject } from 'node:crypto'
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWK,
} from 'jose'
import type { Clock } from '../clock.ts'
import type { Actor } from '../service/ports/registry.ts'
import type { SealedSecret, SecretStore } from '../service/ports/secrets.ts'
import type { Seal } from './seal.ts'

/**
 * The signing keys of a fleet: made on first start, kept sealed in the store, so that every node signs with the same one.
 * A rotated key is published for a while longer, so that what it signed can still be verified.
 */
export interface KeyRing {
  /** The key to sign with, and its id. */
  current(): Promise<SigningKey>
  /** The same, if it was read lately. */
  held(): SigningKey | undefined
  /** The public half of every key that may still have to be verified (RFC 7517). */
  jwks(): Promise<JSONWebKeySet>
  /** Makes a new current key; answers its id. */
  rotate(actor: Actor): Promise<string>
}

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
}

/** Longer than any assertion lives and than verifiers cache a key set. */
const retiredKeyPublishedMs = 24 * 3_600_000
/** How soon a node signs with a key that another process made. */
const rereadMs = 10_000

interface KeyRingDeps {
  readonly secrets: SecretStore
  readonly seal: Seal
  readonly clock: Clock
}

interface ReadKey extends SigningKey {
  readonly publicJwk: JWK
  readonly retiredAt: number | null
}

export const signingAlgorithm = 'EdDSA'

const isCurrent = ({ retiredAt }: ReadKey) => retiredAt === null

export function createKeyRing({ secrets, seal, clock }: KeyRingDeps): KeyRing {
  const opened = new Map<string, ReadKey>()
  let ring: { keys: readonly ReadKey[]; readAt: number } | undefined
  let reading: Promise<readonly ReadKey[]> | undefined

  async function openKey(secret: SealedSecret): Promise<ReadKey> {
    const known = opened.get(secret.id)
    if (known !== undefined) return { ...known, retiredAt: secret.retiredAt }
    const jwk: JWK = JSON.parse(await seal.open(secret.sealed))
    const { d: _private, ...publicJwk } = jwk
    const key: ReadKey = {
      kid: secret.id,
      privateKey: createPrivateKey({ key: jwk, format: 'jwk' }),
      publicJwk: { ...publicJwk, kid: secret.id, alg: signingAlgorithm, use: 'sig' },
      retiredAt: secret.retiredAt,
    }
    opened.set(secret.id, key)
    return key
  }

  async function makeKey(actor: Actor, onlyIfNone: boolean): Promise<string> {
    const { privateKey } = await generateKeyPair(signingAlgorithm, { extractable: true })
    const jwk = await exportJWK(privateKey)
    const kid = await calculateJwkThumbprint(jwk)
    const createdAt = clock.now()
    await secrets.putSecret(
      { id: kid, kind: 'signing-key', createdAt, sealed: await seal.close(JSON.stringify(jwk)) },
      { retirePreviousAt: createdAt + retiredKeyPublishedMs, onlyIfNone, actor },
    )
    ring = undefined
    return kid
  }

  async function read(): Promise<readonly ReadKey[]> {
    let stored = await secrets.listSecrets('signing-key')
    if (!stored.some(({ retiredAt }) => retiredAt === null)) {
      await makeKey({ name: 'System', origin: 'system' }, true)
      stored = await secrets.listSecrets('signing-key')
    }
    const now = clock.now()
    const live = stored.filter(({ retiredAt }) => retiredAt === null || retiredAt > now)
    const keys = await Promise.all(live.map(openKey))
    ring = { keys, readAt: clock.monotonic() }
    return keys
  }

  /** A key that was read stays good for signing when the store cannot be asked again. */
  async function keys(): Promise<readonly ReadKey[]> {
    const held = ring
    if (held !== undefined && clock.monotonic() - held.readAt < rereadMs) return held.keys
    reading ??= read().finally(() => {
      reading = undefined
    })
    if (held === undefined) return reading
    return reading.catch(() => held.keys)
  }

  return {
    held() {
      if (ring === undefined || clock.monotonic() - ring.readAt >= rereadMs) return undefined
      return ring.keys.find(isCurrent)
    },
    async current() {
      const key = (await keys()).find(isCurrent)
      if (key === undefined) throw new Error('the store holds no current signing key')
      return key
    },
    jwks: async () => ({ keys: (await keys()).map(({ publicJwk }) => publicJwk) }),
    rotate: (actor) => makeKey(actor, false),
  }
}
