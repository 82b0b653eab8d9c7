import type { DataPlaneAddresses } from './data-plane.ts'
import type { MetricsSnapshot } from './metrics.ts'

/** What a worker says to the primary process. */
export type FromWorker =
  | { readonly type: 'node'; readonly incarnation: string }
  | { readonly type: 'ready'; readonly addresses: DataPlaneAddresses }
  | { readonly type: 'failed'; readonly reason: string }
  /** It has closed its listeners, and finished what was in flight: these are its last counts. */
  | { readonly type: 'closed'; readonly metrics: MetricsSnapshot }
  | {
      readonly type: 'report'
      readonly request: number
      readonly metrics: MetricsSnapshot
      readonly trouble: string | null
    }

/** What it is told. */
export type ToWorker =
  | { readonly type: 'finish' }
  /** The primary knows that it is closed: whatever connection was handed to it meanwhile has gone to another. */
  | { readonly type: 'leave' }
  | { readonly type: 'report'; readonly request: number }
