import type { Clock } from '../clock.ts'
import { type Credential, type Decision, decide, type SenderDomain } from '../core/decide.ts'
import { type Digest, type PresentedToken, parseToken } from '../core/token.ts'
import type { Lookup } from './ports.ts'

/** The one way in: both traffic edges ask here, and nowhere else. */
export interface Authenticator {
  /** Reads a bearer token as presented. Unproven: it still has to be asked about. */
  present(bearerToken: string): PresentedToken
  /**
   * May the holder of this token send as every one of these domains (A-labels), now? Without domains: is it alive?
   * Throws when the gate cannot find out, which is never a denial.
   */
  authorise(digest: Digest, senders: readonly string[]): Promise<Decision>
  /** The same, each domain by itself and in its order, from one reading of the credential. */
  authoriseEach(digest: Digest, senders: readonly string[]): Promise<readonly Decision[]>
}

interface AuthenticatorDeps {
  readonly lookup: Lookup
  readonly clock: Pick<Clock, 'now'>
  readonly tokenPrefix: string
}

export function createAuthenticator({
  lookup,
  clock,
  tokenPrefix,
}: AuthenticatorDeps): Authenticator {
  async function readFacts(digest: Digest, senders: readonly string[]) {
    const names = [...new Set(senders)]
    const [credential, ...records] = await Promise.all([
      lookup.findCredential(digest),
      ...names.map((name) => lookup.findDomain(name)),
    ])
    const domains = new Map(names.map((name, i) => [name, { name, record: records[i] }]))
    return { credential, domains }
  }

  return {
    present: (bearerToken) => parseToken(bearerToken, tokenPrefix),

    async authorise(digest, senders) {
      const { credential, domains } = await readFacts(digest, senders)
      return decide(credential, [...domains.values()], clock.now())
    },

    async authoriseEach(digest, senders) {
      const { credential, domains } = await readFacts(digest, senders)
      const now = clock.now()
      return senders.map((name) => decideOne(credential, domains.get(name), now))
    },
  }
}

function decideOne(
  credential: Credential | undefined,
  sender: SenderDomain | undefined,
  now: number,
) {
  return decide(credential, sender === undefined ? [] : [sender], now)
}
