import { digestToken } from '../../src/core/token.ts'
import type { MintedToken } from '../../src/service/ports/registry.ts'

/** What a store would keep of a token with this text. */
export function mintedFor(text: string): MintedToken {
  return { digest: digestToken(text), lastFour: text.slice(-4), sealed: `sealed ${text}` }
}
