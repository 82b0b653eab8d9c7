/**
 * How an account proves that a domain is its own: with a TXT record at a name below it that only who administers its DNS can
 * make. An underscored name (RFC 8552) is no host's, so that no customer of the domain's owner is given it by chance.
 */

export const challengeLabel = '_postern-challenge'

/** `unchecked`: nobody has looked yet. `network_error`: the DNS could not be asked, which says nothing of the record. */
export type ProofStatus = 'unchecked' | LookStatus
/** `missing`: there is no such record. `fail`: there are others in its place. */
export type LookStatus = 'pass' | 'missing' | 'fail' | 'network_error'

/** A record as its owner has to set it. */
export interface ChallengeRecord {
  readonly name: string
  readonly type: 'TXT'
  readonly value: string
}

/** `domain` in A-labels. */
export function challengeRecord(domain: string, challenge: string): ChallengeRecord {
  return {
    name: `${challengeLabel}.${domain}`,
    type: 'TXT',
    value: `postern-verification=${challenge}`,
  }
}

/** A record among others counts; one that is almost right does not. */
export function judgeRecords(
  records: readonly string[],
  { value }: ChallengeRecord,
): Exclude<LookStatus, 'network_error'> {
  if (records.includes(value)) return 'pass'
  return records.length === 0 ? 'missing' : 'fail'
}

/** One account's, at most, that it has not proven: all of them share the looks at the DNS. */
export const maxClaims = 1_000

/** Four times a day: zones say of their missing names that they may be taken for missing for some hours. */
const maxIntervalMs = 6 * 3_600_000
/** A claim that old is forgotten. Whoever comes back to it asks for a look, which begins anew. */
const giveUpAfterMs = 14 * 24 * 3_600_000

/**
 * When to look again by itself: after as long again as it has been tried, since most records are set within minutes. Null
 * when it is no use any more.
 */
export function nextCheckAt(since: number, now: number, firstMs: number): number | null {
  const triedMs = now - since
  if (triedMs >= giveUpAfterMs) return null
  return now + Math.min(Math.max(triedMs, firstMs), maxIntervalMs)
}
