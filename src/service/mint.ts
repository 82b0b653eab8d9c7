import { hash } from 'node:crypto'
import { digestToken, lastFour, mintToken } from '../core/token.ts'
import type { Random } from '../random.ts'
import type { Outcome } from './confirm.ts'
import type { IdempotencyKey, MintedToken, Once } from './ports/registry.ts'

/** A fresh bearer token for the one answer that shows it, and what is kept of it. */
export interface FreshToken {
  readonly bearerToken: string
  readonly kept: MintedToken
  /** For the store, when the call that makes it may be repeated. */
  readonly once: Once | undefined
}

export interface Mint {
  /** With a key for a call that may be repeated, and what was asked for in it. */
  make(key?: IdempotencyKey, asked?: unknown): Promise<FreshToken>
  /** The secret that an outcome is about: the fresh one, or that of the call that it repeats. */
  secretOf(outcome: Outcome<unknown>, fresh: FreshToken): Promise<string>
}

interface MintDeps {
  readonly random: Pick<Random, 'bytes'>
  readonly tokenPrefix: string
  readonly seal: {
    close(bearerToken: string): Promise<string>
    open(sealed: string): Promise<string>
  }
  /** Whether copies are kept, so that a token can be revealed later. */
  readonly keepsCopies: boolean
}

export function createMint({ random, tokenPrefix, seal, keepsCopies }: MintDeps): Mint {
  return {
    async make(key, asked) {
      const bearerToken = mintToken(tokenPrefix, random.bytes)
      const sealed = keepsCopies || key !== undefined ? await seal.close(bearerToken) : ''
      return {
        bearerToken,
        kept: {
          digest: digestToken(bearerToken),
          lastFour: lastFour(bearerToken),
          sealed: keepsCopies ? sealed : null,
        },
        once: key && {
          ...key,
          fingerprint: hash('sha256', JSON.stringify(asked), 'base64url'),
          sealed,
        },
      }
    },

    async secretOf(outcome, { bearerToken }) {
      const repeats = outcome.done ? outcome.repeats : undefined
      return repeats === undefined ? bearerToken : seal.open(repeats)
    },
  }
}
