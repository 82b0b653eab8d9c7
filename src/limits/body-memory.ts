import type { BodyMemory } from '../service/ports/limits.ts'

/** One account must not keep all others from sending. */
const shareOfAccount = 0.5

/** Memory for bodies that are being read or forwarded. `largestBody` fits into every account's share. */
export function createBodyMemory(
  maxBytes: number,
  largestBody: number,
  onFull = () => {},
): BodyMemory {
  const maxOfAccount = Math.max(maxBytes * shareOfAccount, Math.min(largestBody, maxBytes))
  /** Never removed: there are no more than accounts, and most come back with their next request. */
  const accounts = new Map<number, { held: number }>()
  let total = 0

  function accountOf(id: number) {
    const known = accounts.get(id)
    if (known !== undefined) return known
    const account = { held: 0 }
    accounts.set(id, account)
    return account
  }

  return {
    held: () => total,
    open(accountId) {
      const account = accountOf(accountId)
      let held = 0
      let isOver = false
      return {
        take(bytes) {
          // What still comes of a request that is gone would never be given back.
          if (isOver) return false
          if (total + bytes > maxBytes || account.held + bytes > maxOfAccount) {
            onFull()
            return false
          }
          held += bytes
          total += bytes
          account.held += bytes
          return true
        },
        release() {
          isOver = true
          total -= held
          account.held -= held
          held = 0
        },
      }
    },
  }
}
