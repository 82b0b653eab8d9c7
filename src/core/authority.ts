import type { AccessLevel, DomainRecord, Grant } from './grants.ts'

/** Whoever holds grants in one account: a token that calls the API, or one that is looked at. */
export interface Holder {
  readonly accountId: number
  readonly grants: readonly Grant[]
}

/** Stands for the account as a whole: who manages this, administers the account. */
export function ofAccount(accountId: number): Holder {
  return { accountId, grants: [{ resource: { type: 'account', id: accountId }, level: 'admin' }] }
}

/** Stands for one domain. */
export function ofDomain({ id, accountId }: Pick<DomainRecord, 'id' | 'accountId'>): Holder {
  return { accountId, grants: [{ resource: { type: 'domain', id }, level: 'admin' }] }
}

/** A domain that the caller has any grant on. */
export function seesDomain(
  caller: Holder,
  domain: Pick<DomainRecord, 'id' | 'accountId'>,
): boolean {
  const { accountId, grants } = ofDomain(domain)
  return sees(caller, { accountId, grants: grants.map((grant) => ({ ...grant, level: 'viewer' })) })
}

export function administersAccount(caller: Holder): boolean {
  return manages(caller, ofAccount(caller.accountId))
}

/** Tokens of its own account whose every grant its own cover. One without grants belongs to account admins. */
export function sees(caller: Holder, token: Holder): boolean {
  return isWithin(caller, token, ({ level }) => level)
}

/** The same where what covers is admin: such a token it may create, reset, edit, reveal and delete. */
export function manages(caller: Holder, token: Holder): boolean {
  return isWithin(caller, token, () => 'admin')
}

function isWithin(caller: Holder, token: Holder, needed: (grant: Grant) => AccessLevel): boolean {
  if (caller.accountId !== token.accountId) return false
  const grants = token.grants.length === 0 ? ofAccount(caller.accountId).grants : token.grants
  return grants.every((grant) =>
    caller.grants.some((own) => reaches(own, grant) && isAtLeast(own.level, needed(grant))),
  )
}

function reaches({ resource: own }: Grant, { resource }: Grant): boolean {
  return own.type === 'account' || (own.type === resource.type && own.id === resource.id)
}

function isAtLeast(level: AccessLevel, needed: AccessLevel): boolean {
  return level === 'admin' || needed === 'viewer'
}
