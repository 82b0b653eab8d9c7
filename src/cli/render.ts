import { standing } from '../core/standing.ts'
import type { Receipt, TokenRecord } from '../service/ports/registry.ts'
import type { ManagedDomain } from './management.ts'
import { resourcesJson } from './resources.ts'
import { alignRows } from './table.ts'

/** A token in the vendor's shape, and what Postern knows besides. Instants are ISO 8601. */
export function tokenJson(token: TokenRecord, now: number) {
  return {
    id: token.id,
    name: token.name,
    last_4_digits: token.lastFour,
    created_by: token.createdBy,
    expires_at: isoOrNull(token.expiresAt),
    resources: resourcesJson(token.grants),
    account_id: token.accountId,
    rate: token.rate,
    created_at: isoOrNull(token.createdAt),
    standing: standing(token, now),
    reset_at: isoOrNull(token.resetAt),
    window_ends_at: isoOrNull(token.windowEndsAt),
    successor_id: token.successorId,
  }
}

/** `dns_record` is null for a domain that needs no proof. */
export function domainJson({ id, name, accountId, state, verifiedAt, dnsRecord }: ManagedDomain) {
  return {
    id,
    name,
    account_id: accountId,
    state,
    verified_at: isoOrNull(verifiedAt),
    dns_record: dnsRecord,
  }
}

/** Null when there was nothing that any node had to learn at once. */
export function receiptJson(receipt: Receipt | null) {
  if (receipt === null) return null
  const { waitingFor, ...rest } = receipt
  return { ...rest, waiting_for: waitingFor }
}

/** What becomes of a change, in a person's words. */
export function receiptText(receipt: Receipt | null): string {
  if (receipt === null) return ''
  const { confirmed, fenced, waitingFor, ms } = receipt
  const waitedOut = fenced === 0 ? '' : `, ${count(fenced, 'silent node')} waited out`
  if (receipt.propagation === 'confirmed') {
    return confirmed + fenced === 0
      ? 'In force: no gate is running'
      : `In force on every node: ${count(confirmed, 'node')} confirmed${waitedOut}, in ${ms} ms`
  }
  const open = waitingFor.length === 0 ? '' : ` by ${count(waitingFor.length, 'node')}`
  return `Done, but not confirmed${open} yet: repeat the command to wait again`
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** `Account Admin, Domain Admin (2)`: what a person sees of a token's grants. */
export function accessText(token: TokenRecord): string {
  const labels = (['account', 'domain'] as const).flatMap((type) =>
    (['admin', 'viewer'] as const).map((level) => {
      const count = token.grants.filter(
        (grant) => grant.resource.type === type && grant.level === level,
      ).length
      if (count === 0) return ''
      const words = `${type === 'account' ? 'Account' : 'Domain'} ${level === 'admin' ? 'Admin' : 'Viewer'}`
      return type === 'account' ? words : `${words} (${count})`
    }),
  )
  return labels.filter((label) => label !== '').join(', ') || 'none'
}

/** When a token ends, in a person's words. */
export function endText(token: TokenRecord, now: number): string {
  const ends = [token.expiresAt, token.windowEndsAt].filter((at) => at !== null)
  if (ends.length === 0) return 'never'
  const end = Math.min(...ends)
  return end <= now ? `ended ${instantText(end)}` : instantText(end)
}

/** UTC, as the Z says, to the second. */
export function instantText(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** What became of a token that was reset, to follow its name. */
export function oldTokenText(token: TokenRecord, now: number): string {
  const end = endText(token, now)
  return end.startsWith('ended') ? end : `works until ${end}`
}

export function tokenText(token: TokenRecord, now: number): string {
  return alignRows([
    ['Token', `${token.id}`],
    ['Name', token.name],
    ['Secret', `****${token.lastFour}`],
    ['Access', accessText(token)],
    ['Created by', token.createdBy],
    ['Ends', endText(token, now)],
    ...(token.rate === null ? [] : [['Rate', token.rate]]),
    ...(token.successorId === null ? [] : [['Replaced by', `token ${token.successorId}`]]),
  ])
}

function isoOrNull(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString()
}
