import { digestToken, lastFour, mintToken } from '../core/token.ts'
import type { Random } from '../random.ts'
import type { MintedToken } from './ports.ts'

/** A fresh bearer token for the one answer that shows it, and what is kept of it. */
export interface FreshToken {
  readonly bearerToken: string
  readonly kept: MintedToken
}

export type Mint = () => Promise<FreshToken>

interface MintDeps {
  readonly random: Pick<Random, 'bytes'>
  readonly tokenPrefix: string
  /** Closes the copy that can be revealed later; undefined when tokens are not to be kept. */
  readonly seal: ((bearerToken: string) => Promise<string>) | undefined
}

export function createMint({ random, tokenPrefix, seal }: MintDeps): Mint {
  return async function mint() {
    const bearerToken = mintToken(tokenPrefix, random.bytes)
    const sealed = seal === undefined ? null : await seal(bearerToken)
    const kept = { digest: digestToken(bearerToken), lastFour: lastFour(bearerToken), sealed }
    return { bearerToken, kept }
  }
}
