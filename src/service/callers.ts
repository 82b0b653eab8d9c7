import type { Holder } from '../core/authority.ts'
import type { Rate } from '../core/rate.ts'
import type { Authenticator } from './authenticate.ts'
import type { Outcome } from './confirm.ts'
import type { Actor, IdempotencyKey, Registry } from './ports/registry.ts'

/** A token that calls the management API, proven, with what it may do. */
export interface Caller extends Holder {
  readonly tokenId: number
  readonly name: string
  /** Where the call came from, for the audit trail. */
  readonly origin: string
  /** How often it may call, as its credential has it. */
  readonly rate?: Rate | null | undefined
}

/**
 * Why a caller is not served: what it asks about is not there, or not for its eyes; is there, and not in its power; or is
 * its own: nobody changes its own permissions, and no token makes its own life longer.
 */
export type Denied = 'not-found' | 'forbidden' | 'own-permissions' | 'own-life'
export type Managed<T> = Outcome<T> | { readonly denied: Denied }

interface CallersDeps {
  readonly registry: Pick<Registry, 'getToken'>
  readonly authenticator: Pick<Authenticator, 'present' | 'authorise'>
}

/** Finds the caller behind a bearer token, or undefined when it is none that lives. Throws when that cannot be found out. */
export function createCallers({ registry, authenticator }: CallersDeps) {
  return async function findCaller(
    bearerToken: string,
    origin: string,
  ): Promise<Caller | undefined> {
    const presented = authenticator.present(bearerToken)
    if (presented === undefined) return undefined
    const verdict = await authenticator.authorise(presented, [])
    if (!verdict.allowed) return undefined
    const token = await registry.getToken(verdict.principal.tokenId)
    if (token === undefined) return undefined
    const { id: tokenId, name, accountId, grants } = token
    return { tokenId, name, accountId, grants, origin, rate: verdict.principal.rate }
  }
}

export function actorOf({ tokenId, name, origin }: Caller): Actor {
  return { tokenId, name, origin }
}

/** Two callers may choose the same key. */
export function keyOf({ tokenId }: Caller, key: string | undefined): IdempotencyKey | undefined {
  return key === undefined ? undefined : { scope: `token:${tokenId}`, key }
}
