import type { Clock } from '../clock.ts'
import type { IssuedToken } from './issue.ts'
import type { Mint } from './mint.ts'
import type { Actor, Change, Registry, TokenRecord } from './ports.ts'

/** A window may be extended to at most this long after the reset. */
export const longestWindowMs = 30 * 24 * 3_600_000

interface ResetDeps {
  readonly registry: Pick<Registry, 'resetToken' | 'undoReset' | 'changeWindow'>
  readonly mint: Mint
  readonly clock: Pick<Clock, 'now'>
  readonly resetWindowMs: number
}

export type Reset = ReturnType<typeof createReset>

/** Replaces a token while its apps are being updated: both work until the window ends. */
export function createReset({ registry, mint, clock, resetWindowMs }: ResetDeps) {
  return {
    /** Mints the successor. A window of 0 ends the old token at once: for a leak. */
    async reset(
      request: { tokenId: number; windowMs?: number; expiresAt?: number | null },
      actor: Actor,
    ): Promise<Change<{ old: TokenRecord; successor: IssuedToken }>> {
      const { tokenId, windowMs = resetWindowMs, ...rest } = request
      const { bearerToken, kept } = await mint()
      const at = clock.now()
      const windowEndsAt = at + Math.min(windowMs, longestWindowMs)
      const change = { tokenId, windowEndsAt, ...rest, token: kept, actor, at }
      const reset = await registry.resetToken(change)
      if (!reset.done) return reset
      const { old, successor } = reset.value
      return { ...reset, value: { old, successor: { record: successor, bearerToken } } }
    },

    /** Takes the reset back while its window runs; the successor stays, since apps may use it already. */
    undo(tokenId: number, actor: Actor): Promise<Change<TokenRecord>> {
      return registry.undoReset({ tokenId, actor, at: clock.now() })
    },

    /** The running window ends so long from now; 0 ends it at once. */
    changeWindow(tokenId: number, remainingMs: number, actor: Actor): Promise<Change<TokenRecord>> {
      const at = clock.now()
      const windowEndsAt = at + remainingMs
      return registry.changeWindow({
        tokenId,
        windowEndsAt,
        latestMs: longestWindowMs,
        actor,
        at,
      })
    },
  }
}
