import type { BodyMemory } from '../service/ports.ts'

/** One account must not keep all others from sending. */
const shareOfAccount = 0.5

/** Memory for bodies that are being read or forwarded. `largestBody` fits into every account's share. */
export function createBodyMemory(
  maxBytes: number,
  largestBody: number,
  onFull = () => {},
): BodyMemory {
  const maxOfAccount = Math.max(maxBytes * shareOfAccount, Math.min(largestBody, maxBytes))
  const accounts = new Map<number, number>()
  let total = 0

  return {
    held: () => total,
    open(accountId) {
      let held = 0
      let isOver = false
      return {
        take(bytes) {
          // What still comes of a request that is gone would never be given back.
          if (isOver) return false
          const ofAccount = accounts.get(accountId) ?? 0
          if (total + bytes > maxBytes || ofAccount + bytes > maxOfAccount) {
            onFull()
            return false
          }
          held += bytes
          total += bytes
          accounts.set(accountId, ofAccount + bytes)
          return true
        },
        release() {
          isOver = true
          total -= held
          const left = (accounts.get(accountId) ?? 0) - held
          if (left > 0) accounts.set(accountId, left)
          else accounts.delete(accountId)
          held = 0
        },
      }
    },
  }
}
