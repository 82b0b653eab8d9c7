import type { Credential } from '../../core/decide.ts'
import type { DomainRecord } from '../../core/grants.ts'
import type { MaybePromise } from '../../core/maybe-promise.ts'
import type { Sighting } from '../../core/sighting.ts'
import type { Digest } from '../../core/token.ts'

/**
 * The ports in this folder are what the services need from the outside. `store/` implements most of them; a cache implements
 * `Lookup` around another one. Instants are milliseconds since the Unix epoch. Every method throws when the store cannot be
 * asked; a refusal is data.
 */

/** At once when it is in memory, else a promise. */
export type Answer<T> = MaybePromise<Sighting<T>>

/** The two questions of the data plane. Each answer is one snapshot. */
export interface Lookup {
  findCredential(digest: Digest): Answer<Credential>
  /** `name` in A-labels, lower case. */
  findDomain(name: string): Answer<DomainRecord>
  /** Whether a credential is at hand that is still true. Left out by those that keep none. */
  holdsCredential?(digest: Digest): boolean
}

/** Whether this node may decide at all, and on what. Asked synchronously, in the turn in which a decision takes effect. */
export interface Trust {
  /** False while it cannot be sure to know every change: then nothing is decided, neither way. */
  mayDecide(): boolean
  /** Whether a record is still true, as far as every change that has answered is concerned. */
  believes(sighting: Sighting<unknown>): boolean
}
