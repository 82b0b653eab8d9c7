import type { Context } from 'hono'
import type { Receipt } from '../service/ports.ts'

/**
 * How far a change has got, as a structured field (RFC 9651): `epoch=12, confirmed=3, fenced=0, ms=8.1`. Absent where there
 * was nothing that any node had to learn at once.
 */
export function stampReceipt(c: Context, receipt: Receipt | null) {
  if (receipt === null) return
  const { epoch, confirmed, fenced, ms } = receipt
  c.header(
    'Postern-Revocation',
    `epoch=${epoch}, confirmed=${confirmed}, fenced=${fenced}, ms=${ms.toFixed(1)}`,
  )
}

/** What is added to an answer while nobody knows yet that every node has the change; repeating the call waits again. */
export function pendingBody(receipt: Receipt | null) {
  if (receipt?.propagation !== 'pending') return undefined
  const { epoch, waitingFor } = receipt
  return { propagation: 'pending', epoch, waiting_for: waitingFor, confirmed_by: null } as const
}
