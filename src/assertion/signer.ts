import { SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import type { AssertionSigner } from '../service/ports.ts'
import { type KeyRing, signingAlgorithm } from './key-ring.ts'

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
  /** Many requests of one token at once are one signature. */
  const signing = new Map<string, Promise<string>>()

  function fresh(name: string, kid: string | undefined): string | undefined {
    const known = kept.get(name)
    const isFresh =
      known !== undefined && known.kid === kid && clock.monotonic() - known.signedAt < reuseMs
    return isFresh ? known.jws : undefined
  }

  async function signAnew(name: string, { audience, principal, senders, protocol }: SignRequest) {
    const { kid, privateKey } = await keyRing.current()
    const known = fresh(name, kid)
    if (known !== undefined) return known
    const issuedAt = Math.floor(clock.now() / 1000)
    const jws = await new SignJWT({ account_id: principal.accountId, senders, protocol })
      .setProtectedHeader({ alg: signingAlgorithm, kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(String(principal.tokenId))
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + assertionLifetimeSeconds)
      .sign(privateKey)
    kept.set(name, { jws, kid, signedAt: clock.monotonic() })
    return jws
  }

  return {
    sign(request) {
      const name = nameOf(request)
      const known = fresh(name, keyRing.held()?.kid)
      if (known !== undefined) return known
      const underWay = signing.get(name)
      if (underWay !== undefined) return underWay
      const begun = signAnew(name, request).finally(() => signing.delete(name))
      signing.set(name, begun)
      return begun
    },
  }
}

/** What an assertion is about: one for each. No domain, protocol, number or origin has a space in it. */
function nameOf({ audience, principal, senders, protocol }: SignRequest): string {
  return `${principal.tokenId} ${principal.accountId} ${protocol} ${audience} ${senders.join(' ')}`
}
