import type { ChallengeRecord, ProofStatus } from '../core/challenge.ts'
import type { DomainRecord } from '../core/grants.ts'
import type { RateText } from '../core/rate.ts'
import type { AskedToken, Explanation } from '../service/explain.ts'
import type { IssuedToken } from '../service/issue.ts'
import type {
  Account,
  AuditEvent,
  GrantRequest,
  Receipt,
  TokenRecord,
} from '../service/ports/registry.ts'
import type { ResetTokens } from '../service/reset.ts'
import type { DomainCheck } from '../service/verify-domain.ts'

/**
 * What commands about accounts, domains and tokens work with. There are two: over the store of this machine
 * (`local-management.ts`), and over the management API of a gate (`api-management.ts`). A refusal is thrown as a
 * `CommandFailed` with its sentence; what is not there and was only looked for is undefined.
 */
export interface Management {
  listAccounts(): Promise<readonly Pick<Account, 'id' | 'name'>[]>

  /** All that there are, or one account's, by name. */
  listDomains(accountId?: number): Promise<readonly ManagedDomain[]>
  /** `name` in A-labels. */
  addDomain(accountId: number, name: string): Promise<Changed<AddedDomain>>
  /** Undefined when there is none, which is answered only when it holds on every node. */
  removeDomain(domain: ManagedDomain | undefined): Promise<Changed<DomainRecord | undefined>>
  /** Looks for its record in the DNS, or takes the operator's word for it. */
  verifyDomain(domain: ManagedDomain, byWord: boolean): Promise<Changed<CheckedDomain>>

  /** By id; without a limit all of them. */
  listTokens(query: TokenQuery): Promise<Page<TokenRecord>>
  findToken(tokenId: number): Promise<TokenRecord | undefined>
  createToken(request: NewToken, key: string | undefined): Promise<Changed<IssuedToken>>
  resetToken(request: ResetRequest, key: string | undefined): Promise<Changed<ResetTokens>>
  undoReset(tokenId: number): Promise<Changed<TokenRecord>>
  /** The running reset window ends so long from now. */
  changeWindow(tokenId: number, remainingMs: number): Promise<Changed<TokenRecord>>
  /** Name, the whole set of permissions, rate: what is given. */
  editToken(tokenId: number, edit: TokenEdit): Promise<Changed<TokenRecord>>
  /** False when there is none, nor was; which is answered only when it holds on every node. */
  deleteToken(tokenId: number): Promise<Changed<boolean>>
  /** From its sealed copy; recorded in the audit trail. */
  revealToken(tokenId: number): Promise<string>

  /** Newest first. */
  listAuditEvents(query: AuditQuery): Promise<Page<AuditEntry>>
  explain(asked: AskedToken, from: string): Promise<Explanation>
}

/** A change that was made. Without a receipt there was nothing that any node had to learn at once. */
export interface Changed<T> {
  readonly value: T
  readonly receipt: Receipt | null
}

export interface Page<T> {
  readonly items: readonly T[]
  readonly hasMore: boolean
}

/** A domain, and the record that proves it where it needs a proof. */
export interface ManagedDomain extends DomainRecord {
  readonly verifiedAt: number | null
  readonly dnsRecord: (ChallengeRecord & { readonly status: ProofStatus }) | null
}

export interface CheckedDomain {
  readonly domain: ManagedDomain
  /** Null where nothing had to be looked for. */
  readonly check: DomainCheck | null
}

export interface AddedDomain {
  readonly domain: ManagedDomain
  readonly token: { readonly id: number; readonly name: string; readonly bearerToken: string }
}

export interface TokenQuery {
  readonly accountId: number
  /** Part of a name, or the last four characters. */
  readonly search?: string | undefined
  /** Only those with a permission on one of these domains. */
  readonly onDomains?: readonly number[] | undefined
  readonly after: number
  readonly limit?: number | undefined
}

export interface NewToken {
  readonly accountId: number
  readonly name: string
  readonly grants: readonly GrantRequest[]
  readonly expiresAt: number | null
}

export interface ResetRequest {
  readonly tokenId: number
  readonly windowMs?: number
  /** Left out, the successor has the old one's. */
  readonly expiresAt?: number | null
}

export interface TokenEdit {
  readonly name?: string
  readonly grants?: readonly GrantRequest[]
  /** Only whoever runs the gate may say how often a token may send. */
  readonly rate?: RateText
}

export interface AuditQuery {
  /** Left out, every account's. */
  readonly accountId?: number | undefined
  readonly before?: number | undefined
  readonly limit: number
}

/** What the trail keeps, in the words of the API. */
export interface AuditEntry extends Omit<AuditEvent, 'accountId' | 'before' | 'after'> {
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>> | null
}
