import type { Generated, Kysely } from 'kysely'
import type { ProofStatus } from '../core/challenge.ts'
import type { AccessLevel, DomainRecord } from '../core/grants.ts'
import type { AuditEvent } from '../service/ports/registry.ts'
import type { SealedSecret } from '../service/ports/secrets.ts'

/** The tables as `migrations/` makes them. Instants are milliseconds since the Unix epoch. */
export interface Schema {
  readonly accounts: {
    id: Generated<number>
    name: string
    created_at: number
  }
  readonly domains: {
    id: Generated<number>
    account_id: number
    /** A-labels, lower case. Of one account only, once it is verified. */
    name: string
    state: DomainRecord['state']
    created_at: number
    verified_at: number | null
    /** Null when it was added as verified. */
    challenge: string | null
    check_status: ProofStatus
    checked_at: number | null
    checking_since: number | null
    /** When to look at its record again; null when nobody does. */
    next_check_at: number | null
  }
  readonly tokens: {
    id: Generated<number>
    account_id: number
    name: string
    /** base64url of the SHA-256 of the token. */
    digest: string
    last_four: string
    /** A JWE of the token, or null. */
    sealed: string | null
    created_by: string
    created_at: number
    expires_at: number | null
    reset_at: number | null
    window_ends_at: number | null
    successor_id: number | null
    /** `150/10s`, `off`, or null for the usual rate. */
    rate: string | null
    /** What searches look in, folded. */
    search_text: string
  }
  readonly grants: {
    token_id: number
    /** Null: the whole account of the token. */
    domain_id: number | null
    level: AccessLevel
  }
  readonly audit_events: {
    id: Generated<number>
    at: number
    account_id: number | null
    actor: string
    /** The token that asked, if one did. */
    actor_token_id: number | null
    origin: string
    action: string
    subject_type: AuditEvent['subject']['type']
    subject_id: number
    /** JSON, or null. */
    before: string | null
    after: string | null
  }
  /** One row. */
  readonly revocation_clock: {
    epoch: number
    pruned_through: number
    era: string
    era_at: number
    /** Of PostgreSQL's write-ahead log when the last change was made; empty before the first, and on SQLite. */
    timeline: string
  }
  readonly revocations: {
    epoch: number
    /** JSON array of the keys whose cached records are no longer true. */
    keys: string
    at: number
  }
  readonly nodes: {
    incarnation: string
    name: string
    started_at: number
    /** For people: nobody decides by it. */
    renewed_at: number
    renewal: number
    applied_epoch: number
    hold_ms: number
    fenced: 0 | 1
  }
  readonly token_tombstones: {
    token_id: number
    /** Null for those from before it was noted. */
    account_id: number | null
    epoch: number
    at: number
  }
  /** Of tokens that were deleted, or have ended and are swept. */
  readonly ended_digests: {
    digest: string
    at: number
  }
  readonly idempotency_keys: {
    scope: string
    key: string
    fingerprint: string
    at: number
    /** Null only inside the transaction that claims the key. */
    token_id: number | null
    sealed: string
  }
  readonly secrets: {
    id: string
    kind: SealedSecret['kind']
    created_at: number
    retired_at: number | null
    sealed: string
  }
}

export type Dialect = 'sqlite' | 'postgres'

/** One connection with a transaction open on it. */
export interface WriteTransaction {
  readonly db: Kysely<Schema>
  readonly dialect: Dialect
}

/** An open database: what differs between SQLite and PostgreSQL ends here. */
export interface Database {
  readonly dialect: Dialect
  /** For statements that only read, each by itself. */
  readonly reader: Kysely<Schema>
  /** Commits what `work` did, or nothing if it throws. `work` must not wait for anything but the database. */
  write<T>(work: (transaction: WriteTransaction) => Promise<T>): Promise<T>
  readonly fleet: FleetDatabase
  /** Things that an operator should know about it. */
  inspect(): Promise<readonly Inspection[]>
  close(): Promise<void>
}

/** A way to the database of its own for leases and acknowledgements: look-ups by the thousand never hold them up. */
export interface FleetDatabase {
  readonly reader: Kysely<Schema>
  /** Commits before it resolves. */
  write<T>(work: (db: Kysely<Schema>) => Promise<T>): Promise<T>
  /**
   * Commits what only processes that are running now need. On the embedded database it may be gone when the machine loses
   * its power, as they are.
   */
  note<T>(work: (db: Kysely<Schema>) => Promise<T>): Promise<T>
  /** Calls `listener` soon after somebody has changed something; answers how to stop it. */
  watch(listener: () => void): () => void
}

export interface Inspection {
  readonly name: string
  readonly ok: boolean
  /** It works, and an operator should know what it does not promise. */
  readonly warns?: boolean
  readonly detail: string
}
