/** The instants that bound a token's life, milliseconds since the Unix epoch. */
export interface TokenTimes {
  readonly expiresAt: number | null
  /** End of the reset window, set when a successor was minted. */
  readonly windowEndsAt: number | null
}

/** `reset`: replaced by a successor, and still accepted until its window ends. */
export type Standing = 'active' | 'reset' | 'expired'

/** A token ends at the earlier of its expiry and the end of its reset window. */
export function standing(token: TokenTimes, now: number): Standing {
  if (token.expiresAt !== null && now >= token.expiresAt) return 'expired'
  if (token.windowEndsAt === null) return 'active'
  return now < token.windowEndsAt ? 'reset' : 'expired'
}

/** The instant at which a token stops being accepted, or null if nothing is scheduled. */
export function endsAt(token: TokenTimes): number | null {
  if (token.expiresAt === null) return token.windowEndsAt
  if (token.windowEndsAt === null) return token.expiresAt
  return Math.min(token.expiresAt, token.windowEndsAt)
}
