import type { Moment } from '../../core/sighting.ts'
import type { ChangeRequest } from './registry.ts'

/** What was read of the revocation log in one statement. */
export interface LogReading extends Moment {
  /** Epochs up to here may be missing among the entries. */
  readonly completeFrom: number
  /** In order; at least those after what was asked for, as far as they are complete. */
  readonly entries: readonly { readonly epoch: number; readonly keys: readonly string[] }[]
  /** The node's own renewal, as far as this snapshot shows it; null if it has no row. */
  readonly renewal: number | null
  /** The database's clock. */
  readonly at: number
}

/** A node as the waiting change sees it. */
export interface NodeRow {
  readonly incarnation: string
  readonly renewal: number
  /** By the node's clock. After a promotion the numbers of lost renewals are given again, but not their instants. */
  readonly renewedAt: number
  readonly appliedEpoch: number
  /** How long it may decide after a renewal. */
  readonly holdMs: number
}

/** A node as people see it; instants are the node's own, and nobody decides by them. */
export interface ListedNode extends NodeRow {
  readonly name: string
  readonly startedAt: number
  /** It was waited out, and can only come back under another name. */
  readonly fenced: boolean
}

/**
 * The fleet's share of the store: leases and acknowledgements. Each method is one committed transaction on the primary;
 * the order in which they are called is the protocol.
 */
export interface FleetRegistry {
  /** Writes the row of a new incarnation, whose lease is still to come. */
  addNode(node: {
    readonly incarnation: string
    readonly name: string
    readonly holdMs: number
    readonly at: number
  }): Promise<void>
  /** Tells that the node lives and what it has applied. Undefined when it has no row any more, or was fenced. */
  renewNode(node: {
    readonly incarnation: string
    readonly applied: Moment | undefined
    readonly at: number
  }): Promise<number | undefined>
  /** The log after `after`, the clock and the node's own row, in one snapshot. */
  readLog(node: { readonly incarnation: string; readonly after: number }): Promise<LogReading>
  acknowledge(node: { readonly incarnation: string; readonly applied: Moment }): Promise<void>
  removeNode(node: { readonly incarnation: string; readonly renewal?: number }): Promise<void>
  /** The nodes that are not fenced, and the log's own moment. `eraAgeMs`: since the era began. */
  readNodes(): Promise<{
    readonly moment: Moment
    readonly eraAgeMs: number
    readonly nodes: readonly NodeRow[]
  }>
  /** Every node that has a row, fenced or not, as people and the janitor see it. */
  listNodes(): Promise<readonly ListedNode[]>
  /** What becomes of these: those that are missing are gone. */
  readAcknowledgements(incarnations: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Shuts out a node that was waited out, unless it has renewed since. */
  fenceNode(node: Pick<NodeRow, 'incarnation' | 'renewal' | 'renewedAt'>): Promise<void>
  /** Forgets log entries and tombstones from before these instants. */
  pruneLog(before: { readonly entries: number; readonly tombstones: number }): Promise<void>
  /** Calls `listener` soon after the log has grown; may miss some, may call for nothing. Answers how to stop it. */
  watchLog(listener: () => void): () => void
  /**
   * Begins a new era by hand: after an older copy of the database was restored, which the database itself does not show.
   * Every node forgets what it knows, and changes wait until no lease of the old era can run.
   */
  beginEra(request: ChangeRequest): Promise<Moment>
  /** The database's clock, milliseconds since the Unix epoch. */
  readClock(): Promise<number>
}
