/** Ordered strength of a grant, in the vendor's words. */
export type AccessLevel = 'viewer' | 'admin'

/** What a token may touch: its whole account, or one domain of it. */
export interface Grant {
  readonly resource: { readonly type: 'account' | 'domain'; readonly id: number }
  readonly level: AccessLevel
}

/** One token's, at most: more is a grant on the account. */
export const maxGrants = 10_000

/** The numbers by which the vendor's API names access levels. */
export const accessLevelNumber = { viewer: 10, admin: 100 } as const

/** A domain as the decision sees it. */
export interface DomainRecord {
  readonly id: number
  readonly accountId: number
  /** A-labels, lower case, no trailing dot. */
  readonly name: string
  readonly state: 'verified' | 'pending'
}

/**
 * Admin on the account implies Domain Admin on each of its domains, now and later; a grant never reaches
 * into another account, whatever ids it names.
 */
export function administersDomain(
  holder: { readonly accountId: number; readonly grants: readonly Grant[] },
  domain: DomainRecord,
): boolean {
  if (holder.accountId !== domain.accountId) return false
  for (const { resource, level } of holder.grants) {
    const reached = resource.type === 'account' ? holder.accountId : domain.id
    if (level === 'admin' && resource.id === reached) return true
  }
  return false
}

/** One permission to be given, or to be taken away. */
export interface PermissionChange {
  readonly resource: Grant['resource']
  /** Null takes it away. */
  readonly level: AccessLevel | null
}

/** What grants are after some changes, each of which is about the grant on its resource, whether there is one or not. */
export function changedGrants(
  current: readonly Grant[],
  changes: readonly PermissionChange[],
): readonly Grant[] {
  const keyOf = ({ type, id }: Grant['resource']) => `${type}:${id}`
  const byResource = new Map(current.map((grant) => [keyOf(grant.resource), grant]))
  for (const { resource, level } of changes) {
    if (level === null) byResource.delete(keyOf(resource))
    else byResource.set(keyOf(resource), { resource, level })
  }
  return [...byResource.values()]
}
