import type { AccessLevel, Grant } from './grants.ts'

/** Whoever holds grants in one account: a token that calls the API, or one that is looked at. */
export interface Holder {
  readonly accountId: number
  readonly grants: readonly Grant[]
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
  const account: Grant = { resource: { type: 'account', id: caller.accountId }, level: 'admin' }
  const grants = token.grants.length === 0 ? [account] : token.grants
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
