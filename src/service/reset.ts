import type { Clock } from '../clock.ts'
import { confirmed, mapOutcome, type Outcome } from './confirm.ts'
import type { IssuedToken } from './issue.ts'
import type { Mint } from './mint.ts'
import type {
  Actor,
  Change,
  Confirm,
  IdempotencyKey,
  Registry,
  TokenRecord,
} from './ports/registry.ts'

/** A window ends at most this long after the reset. */
export const longestWindowMs = 30 * 24 * 3_600_000

/**
 * An end that is further away is known to every node long before it comes: none may decide for more than half of this
 * without having read the log.
 */
export const nearEndMs = 3_600_000

interface ResetDeps {
  readonly registry: Pick<Registry, 'resetToken' | 'undoReset' | 'changeWindow'>
  readonly mint: Mint
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now'>
  readonly resetWindowMs: number
}

/** Both tokens after a reset; a repeated call has no old one when that is gone meanwhile. */
export interface ResetTokens {
  readonly old: TokenRecord | undefined
  readonly successor: IssuedToken
}

export type Reset = ReturnType<typeof createReset>

/** Replaces a token while its apps are being updated: both work until the window ends. */
export function createReset({ registry, mint, confirm, clock, resetWindowMs }: ResetDeps) {
  /** Nobody is kept waiting for nodes to learn of an end that is far away. */
  async function confirmEnd<T>(change: Promise<Change<T>>, endsAt: number): Promise<Outcome<T>> {
    if (endsAt - clock.now() <= nearEndMs) return confirmed(confirm, change)
    const changed = await change
    return changed.done ? { ...changed, receipt: null } : changed
  }

  return {
    /** Mints the successor. A window of 0 ends the old token at once: for a leak. */
    async reset(
      request: { tokenId: number; windowMs?: number; expiresAt?: number | null },
      actor: Actor,
      key?: IdempotencyKey,
    ): Promise<Outcome<ResetTokens>> {
      const { tokenId, windowMs = resetWindowMs, ...rest } = request
      const fresh = await mint.make(key, { reset: request })
      const { kept: token, once } = fresh
      const at = clock.now()
      const windowEndsAt = at + windowMs
      const latest = at + longestWindowMs
      if (windowEndsAt > latest) {
        return { done: false, refusal: { reason: 'window-too-long', latest } }
      }
      const change = { tokenId, windowEndsAt, ...rest, token, once, actor, at }
      const reset = await confirmEnd(registry.resetToken(change), windowEndsAt)
      const bearerToken = await mint.secretOf(reset, fresh)
      return mapOutcome(reset, ({ old, successor }) => ({
        old,
        successor: { record: successor, bearerToken },
      }))
    },

    /** Takes the reset back while its window runs; the successor stays, since apps may use it already. */
    undo(tokenId: number, actor: Actor): Promise<Outcome<TokenRecord>> {
      return confirmed(confirm, registry.undoReset({ tokenId, actor, at: clock.now() }))
    },

    /** The running window ends so long from now; 0 ends it at once. */
    changeWindow(
      tokenId: number,
      remainingMs: number,
      actor: Actor,
    ): Promise<Outcome<TokenRecord>> {
      const at = clock.now()
      const windowEndsAt = at + remainingMs
      const request = { tokenId, windowEndsAt, latestMs: longestWindowMs, actor, at }
      // It may extend a window that would have ended soon: then the old end is the one that counts.
      return confirmed(confirm, registry.changeWindow(request))
    },
  }
}
