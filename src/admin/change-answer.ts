import type { Context } from 'hono'
import type { Managed } from '../service/callers.ts'
import type { Receipt } from '../service/ports/registry.ts'
import { denied, refused } from './errors.ts'

/** A pending change is asked about again soon: each call waits by itself. */
const retryAfterSeconds = '1'

/**
 * What a change answers: the vendor's body when no node decides on the old state any more, 202 while nobody knows that yet,
 * or why nothing was changed.
 */
export function answerChange<T>(
  c: Context,
  outcome: Managed<T>,
  /** Null where the vendor answers nothing. */
  render: (value: T) => object | null,
) {
  if ('denied' in outcome) return denied(c, outcome.denied)
  if (!outcome.done) return refused(c, outcome.refusal)
  const { value, receipt } = outcome
  const body = render(value)
  if (receipt !== null) stampReceipt(c, receipt)
  if (receipt?.propagation !== 'pending') return body === null ? c.body(null, 204) : c.json(body)
  const { epoch, waitingFor } = receipt
  const pending = { propagation: 'pending', epoch, waiting_for: waitingFor, confirmed_by: null }
  return c.json({ ...body, ...pending }, 202, { 'retry-after': retryAfterSeconds })
}

/**
 * How far a change has got, as a structured field (RFC 9651): `epoch=12, confirmed=3, fenced=0, ms=8.1`. Absent where there
 * was nothing that any node had to learn at once.
 */
export function stampReceipt(c: Context, { epoch, confirmed, fenced, ms }: Receipt) {
  const field = `epoch=${epoch}, confirmed=${confirmed}, fenced=${fenced}, ms=${ms.toFixed(1)}`
  c.header('Postern-Revocation', field)
}
