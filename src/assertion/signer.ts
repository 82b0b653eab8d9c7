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
  readonly keyRing: Pick<KeyRing, 'current'>
  readonly clock: Clock
  /** `iss`: where the key set is published. */
  readonly issuer: string
}

/** Signs what was decided; the claims are listed in docs/assertion.md. */
export function createAssertionSigner({ keyRing, clock, issuer }: SignerDeps): AssertionSigner {
  const kept = new LRUCache<string, { jws: string; signedAt: number }>({ max: maxKept })

  return {
    async sign({ audience, principal, senders, protocol }) {
      const { tokenId, accountId } = principal
      const { kid, privateKey } = await keyRing.current()
      const key = JSON.stringify([kid, audience, tokenId, accountId, protocol, senders])
      const known = kept.get(key)
      if (known !== undefined && clock.monotonic() - known.signedAt < reuseMs) return known.jws

      const issuedAt = Math.floor(clock.now() / 1000)
      const jws = await new SignJWT({ account_id: accountId, senders, protocol })
        .setProtectedHeader({ alg: signingAlgorithm, kid, typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(String(tokenId))
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + assertionLifetimeSeconds)
        .sign(privateKey)
      kept.set(key, { jws, signedAt: clock.monotonic() })
      return jws
    },
  }
}
