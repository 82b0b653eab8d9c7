import type { Change, Refusal } from '../service/ports/registry.ts'
import type { Database, WriteTransaction } from './schema.ts'

/** Undoes the transaction that it is thrown in; the caller is answered with the refusal. */
export class RefusedChange extends Error {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(`refused: ${refusal.reason}`)
    this.refusal = refusal
  }
}

interface Done<T> {
  readonly value: T
  /** Null when no node has to be told. */
  readonly epoch: number | null
  /** The sealed secret of the call that this one repeats. */
  readonly repeats?: string
}

/** One transaction that is either done, or refused without a trace. */
export async function change<T>(
  database: Pick<Database, 'write'>,
  work: (transaction: WriteTransaction) => Promise<Done<T>>,
): Promise<Change<T>> {
  try {
    return { done: true, ...(await database.write(work)) }
  } catch (error) {
    if (error instanceof RefusedChange) return { done: false, refusal: error.refusal }
    throw error
  }
}
