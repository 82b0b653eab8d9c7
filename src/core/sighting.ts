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
  /** What it is about, in the words of the revocation log. */
  readonly keys: readonly string[]
}

/** `ahead`: it was read at a moment that this node has not caught up with. `stale`: it has to be read again. */
export type Belief = 'believed' | 'stale' | 'ahead'

export function credentialSighting(
  digest: Digest,
  value: Credential | undefined,
  { era, epoch }: Moment,
): Sighting<Credential> {
  const keys = [revocationKey.token(digest)]
  if (value !== undefined) keys.push(revocationKey.account(value.accountId))
  return { value, era, epoch, keys }
}

/** `name` in A-labels. */
export function domainSighting(
  name: string,
  value: DomainRecord | undefined,
  { era, epoch }: Moment,
): Sighting<DomainRecord> {
  const keys = [revocationKey.name(name)]
  if (value !== undefined) {
    keys.push(revocationKey.domain(value.id), revocationKey.account(value.accountId))
  }
  return { value, era, epoch, keys }
}
