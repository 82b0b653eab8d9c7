import { hash } from 'node:crypto'
import type { Digest } from './token.ts'

/**
 * What a cached record can be about. A change names each whose records are no longer true; nothing enumerates tokens, so
 * that removing a domain or suspending an account is one key, however many tokens it touches.
 */
export const revocationKey = {
  token: (digest: Digest) => `token:${digest}`,
  domain: (id: number) => `domain:${id}`,
  /** Also of a name that nobody has yet: that it is unknown may be cached. */
  name: (domain: string) => `name:${hash('sha256', domain, 'base64url')}`,
  account: (id: number) => `account:${id}`,
  /** Every record that says "there is nothing". */
  negatives: 'negatives',
  all: 'all',
} as const
