import type { Credential } from './decide.ts'
import type { DomainRecord } from './grants.ts'
import { revocationKey } from './revocation-key.ts'
import type { Digest } from './token.ts'

/** A state of the store: the era of its revocation log, and the last epoch that is in it. */
export interface Moment {
  readonly era: string
  readonly epoch: number
}

/** What was there at a moment, or that there was nothing. Record and moment are of one snapshot. */
export interface Sighting<T> {
  readonly value: T | undefined
  readonly era: string
  /** Raised by whoever finds that it was still true later; never lowered. */
  epoch: number
  /** What was asked for: a token by its digest, or a domain by its name. */
  readonly kind: 'token' | 'domain'
  readonly name: string
}

/** `ahead`: it was read at a moment that this node has not caught up with. `stale`: it has to be read again. */
export type Belief = 'believed' | 'stale' | 'ahead'

export function credentialSighting(
  digest: Digest,
  value: Credential | undefined,
  { era, epoch }: Moment,
): Sighting<Credential> {
  return { value, era, epoch, kind: 'token', name: digest }
}

/** `name` in A-labels. */
export function domainSighting(
  name: string,
  value: DomainRecord | undefined,
  { era, epoch }: Moment,
): Sighting<DomainRecord> {
  return { value, era, epoch, kind: 'domain', name }
}

/** What a sighting is about, in the words of the revocation log. Made when it is asked for: a hundred thousand are kept. */
export function revocationKeysOf({ kind, name, value }: Sighting<unknown>): readonly string[] {
  if (kind === 'token') {
    const credential = value as Credential | undefined
    const own = revocationKey.token(name)
    return credential === undefined ? [own] : [own, revocationKey.account(credential.accountId)]
  }
  const domain = value as DomainRecord | undefined
  const own = revocationKey.name(name)
  return domain === undefined
    ? [own]
    : [own, revocationKey.domain(domain.id), revocationKey.account(domain.accountId)]
}
