import { type KeyObject, sign as signBytes } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { areSameDomains } from '../core/domain.ts'
import { andThen } from '../core/maybe-promise.ts'
import type {
  AssertionRequest,
  AssertionSigner,
  SignedAssertion,
} from '../service/ports/assertions.ts'
import { type KeyRing, type SigningKey, signingAlgorithm } from './key-ring.ts'

/** How long an upstream may rely on an assertion: `exp` - `iat`. */
const assertionLifetimeSeconds = 60
/** An assertion is handed out again until this age, so that every upstream has at least half its life left. */
const reuseMs = (assertionLifetimeSeconds * 1000) / 2
/** Some 600 bytes each; one for a batch of very many domains is not kept. */
const maxKept = 10_000
const maxKeptLength = 4_096

interface SignerDeps {
  readonly keyRing: Pick<KeyRing, 'current' | 'held'>
  readonly clock: Clock
  /** `iss`: where the key set is published. */
  readonly issuer: string
}

/** Signs what was decided; the claims are listed in docs/assertion.md. */
export function createAssertionSigner({ keyRing, clock, issuer }: SignerDeps): AssertionSigner {
  const kept = new LRUCache<string, SignedAssertion>({ max: maxKept })

  function isFresh({ kid, signedAt }: SignedAssertion, key: SigningKey): boolean {
    return kid === key.kid && clock.monotonic() - signedAt < reuseMs
  }

  /** Mostly the token's last one, for which no name has to be made; else by name, for tokens that send as several domains in turn. */
  function reuse(last: SignedAssertion | undefined, key: SigningKey, request: AssertionRequest) {
    if (last !== undefined && isSame(last.about, request) && isFresh(last, key)) return last
    const known = kept.get(nameOf(request))
    return known !== undefined && isFresh(known, key) ? known : undefined
  }

  function signAnew({ kid, privateKey }: SigningKey, about: AssertionRequest): SignedAssertion {
    const { audience, principal, senders, protocol } = about
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
    return { jws, kid, signedAt: clock.monotonic(), about }
  }

  return {
    sign: (slot, request) =>
      andThen(keyRing.held() ?? keyRing.current(), (key) => {
        const known = reuse(slot.assertion, key, request)
        const signed = known ?? signAnew(key, request)
        if (signed.jws.length <= maxKeptLength) {
          slot.assertion = signed
          if (known === undefined) kept.set(nameOf(request), signed)
        }
        return signed.jws
      }),
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

/** Compares what `nameOf` names: a claim belongs into both. */
function isSame(one: AssertionRequest, other: AssertionRequest): boolean {
  return (
    one.principal.tokenId === other.principal.tokenId &&
    one.principal.accountId === other.principal.accountId &&
    one.protocol === other.protocol &&
    one.audience === other.audience &&
    areSameDomains(one.senders, other.senders)
  )
}

/** What an assertion is about: one for each. No domain, protocol, number or origin has a space in it. */
function nameOf({ audience, principal, senders, protocol }: AssertionRequest): string {
  return `${principal.tokenId} ${principal.accountId} ${protocol} ${audience} ${senders.join(' ')}`
}
