import type { FleetRegistry } from './ports/fleet.ts'
import type { Change, Confirm, Receipt, Refusal } from './ports/registry.ts'

/** What a caller is told of a change. Without a receipt there was nothing that any node had to learn at once. */
export type Outcome<T> =
  | {
      readonly done: true
      readonly value: T
      readonly receipt: Receipt | null
      readonly repeats?: string | undefined
    }
  | { readonly done: false; readonly refusal: Refusal }

/** Answers a change only when no node decides on the old state any more, or with a receipt that says what is still open. */
export async function confirmed<T>(
  confirm: Confirm,
  change: Promise<Change<T>>,
): Promise<Outcome<T>> {
  const changed = await change
  if (!changed.done) return changed
  const { value, epoch, repeats } = changed
  return { done: true, value, receipt: epoch === null ? null : await confirm(epoch), repeats }
}

/**
 * Whoever repeats a call wants to know that it holds everywhere: also "there is none" is answered only when no node decides
 * on an older state.
 */
export async function confirmAbsence(
  confirm: Confirm,
  registry: Pick<FleetRegistry, 'readNodes'>,
): Promise<Receipt> {
  const { moment } = await registry.readNodes()
  return confirm(moment.epoch)
}

/** What was to be removed is not there; or not any more, since somebody else was quicker. */
export function isAbsence(outcome: Outcome<unknown>): boolean {
  if (outcome.done) return false
  const { reason } = outcome.refusal
  return reason === 'no-such-token' || reason === 'no-such-domain'
}

/** An outcome of a part of what a change made. */
export function mapOutcome<T, U>(outcome: Outcome<T>, part: (value: T) => U): Outcome<U> {
  return outcome.done ? { ...outcome, value: part(outcome.value) } : outcome
}
