import { type KeyObject, sign as signBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { isPromise } from '../core/maybe-promise.ts'
import type { AssertionSigner } from '../service/ports/assertions.ts'
import { type KeyRing, type SigningKey, signingAlgorithm } from './key-ring.ts'

/** How long an upstream may rely on an assertion: `exp` - `iat`. */
const assertionLifetimeSeconds = 60
/** An assertion is handed out again until this age, so that every upstream has at least half its life left. */
const reuseMs = (assertionLifetimeSeconds * 1000) / 2
/** Some hundred bytes each. */
const maxKept = 10_000

interface SignerDeps {
  readonly keyRing: Pick<KeyRing, 'current' | 'held'>
  readonly clock: Clock
  /** `iss`: where the key set is published. */
  readonly issuer: string
}

type SignRequest = Parameters<AssertionSigner['sign']>[0]

/** Signs what was decided; the claims are listed in docs/assertion.md. */
export function createAssertionSigner({ keyRing, clock, issuer }: SignerDeps): AssertionSigner {
  const kept = new LRUCache<string, { jws: string; kid: string; signedAt: number }>({
    max: maxKept,
  })

  function signWith({ kid, privateKey }: SigningKey, request: SignRequest): string {
    const name = nameOf(request)
    const known = kept.get(name)
    const now = clock.monotonic()
    if (known !== undefined && known.kid === kid && now - known.signedAt < reuseMs) return known.jws
    const { audience, principal, senders, protocol } = request
    const issuedAt = Math.floor(clock.now() / 1000)
    const claims = {
      account_id: principal.accountId,
      senders,
      protocol,
      iss: issuer,
      aud: audience,
      sub: String(principal.tokenId),
      iat: issuedAt,
      exp: issuedAt + assertionLifetimeSeconds,
    }
    const jws = compactJws({ alg: signingAlgorithm, kid, typ: 'JWT' }, claims, privateKey)
    kept.set(name, { jws, kid, signedAt: now })
    return jws
  }

  return {
    sign(request) {
      const key = keyRing.held() ?? keyRing.current()
      return isPromise(key) ? key.then((read) => signWith(read, request)) : signWith(key, request)
    },
  }
}

/** RFC 7515 §3.1, RFC 8037 §3.1. jose has another thread sign: to ask it takes this one as long as to sign. */
function compactJws(header: object, claims: object, key: KeyObject): string {
  const signed = `${base64url(header)}.${base64url(claims)}`
  return `${signed}.${signBytes(null, Buffer.from(signed), key).toString('base64url')}`
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** What an assertion is about: one for each. No domain, protocol, number or origin has a space in it. */
function nameOf({ audience, principal, senders, protocol }: SignRequest): string {
  return `${principal.tokenId} ${principal.accountId} ${protocol} ${audience} ${senders.join(' ')}`
}
