import type { Holder } from '../../core/authority.ts'
import type { ProofStatus } from '../../core/challenge.ts'
import type { AccessLevel, DomainRecord, Grant } from '../../core/grants.ts'
import type { RateText } from '../../core/rate.ts'
import type { TokenTimes } from '../../core/standing.ts'
import type { Digest } from '../../core/token.ts'

/** Who asks for a change, for the audit trail and `created_by`. */
export interface Actor {
  readonly name: string
  /** If it is a token: what it may change is judged in the same transaction. */
  readonly tokenId?: number
  /** Where the change came in: `cli`, `system`, or the address of an API client. */
  readonly origin: string
}

export interface Account {
  readonly id: number
  readonly name: string
  readonly createdAt: number
}

/** A token as the control plane sees it; never its secret. */
export interface TokenRecord extends TokenTimes {
  readonly id: number
  readonly accountId: number
  readonly name: string
  readonly lastFour: string
  readonly createdBy: string
  readonly createdAt: number
  readonly grants: readonly Grant[]
  /** When it was reset, and the token that replaced it; null unless its reset window runs or is over. */
  readonly resetAt: number | null
  readonly successorId: number | null
  /** `150/10s`, `off`, or null for the usual rate. */
  readonly rate: RateText
}

/** How far it is proven that a domain is its account's own. */
export interface DomainProof {
  /** Makes the value of the DNS record unguessable. The same for as long as the account has the domain. */
  readonly challenge: string
  /** What the last look at the record found, and when that was. */
  readonly status: ProofStatus
  readonly checkedAt: number | null
  /** From when on it is looked for, which makes the pauses between. */
  readonly since: number
}

/** A domain as the control plane sees it. Of one that is verified no other account has the name. */
export interface AccountDomain extends DomainRecord {
  /** Null when it was added without: the operator knew. */
  readonly proof: DomainProof | null
  /** Null also where it was not noted. */
  readonly verifiedAt: number | null
}

/** What is kept of a freshly minted token. `sealed` is a JWE that only the control plane opens, or null. */
export interface MintedToken {
  readonly digest: Digest
  readonly lastFour: string
  readonly sealed: string | null
}

/** Why a change was refused: the closed list. Nothing was changed. */
export type Refusal =
  | { readonly reason: 'no-such-account' }
  | { readonly reason: 'no-such-domain' }
  | { readonly reason: 'no-such-token' }
  | { readonly reason: 'domain-taken'; readonly name: string }
  | { readonly reason: 'too-many-claims' }
  /** The domains that would be left without a lasting token. */
  | { readonly reason: 'last-token'; readonly domains: readonly string[] }
  | { readonly reason: 'already-reset'; readonly at: number; readonly successorId: number }
  | { readonly reason: 'expired' }
  | { readonly reason: 'not-reset' }
  | { readonly reason: 'window-too-long'; readonly latest: number }
  | { readonly reason: 'not-sealed' }
  | { readonly reason: 'key-of-another-call' }
  | { readonly reason: 'too-many-grants' }
  /** The token that asks does not manage what it asks about; or has ended or gone itself, meanwhile. */
  | { readonly reason: 'not-permitted' }
  | { readonly reason: 'caller-gone' }

/** `epoch` is the entry of the revocation log by which other nodes learn of the change; null if none has to. */
export type Change<T> =
  | {
      readonly done: true
      readonly value: T
      readonly epoch: number | null
      /** The call was a repetition: the secret that the first one made, as it was sealed. */
      readonly repeats?: string
    }
  | { readonly done: false; readonly refusal: Refusal }

/** How far a change has got when its answer arrives. */
export interface Receipt {
  /** The change's entry in the revocation log. */
  readonly epoch: number
  /** `pending`: it is done, but nobody knows yet that no node decides on the old state; a repeated call waits again. */
  readonly propagation: 'confirmed' | 'pending'
  /** Nodes that have applied it, and silent ones that were waited out until they could decide nothing any more. */
  readonly confirmed: number
  readonly fenced: number
  /** Incarnations of the nodes that are still waited for. */
  readonly waitingFor: readonly string[]
  readonly ms: number
}

/** Waits until no node decides on what was before this entry of the log any more, or until that cannot be known. */
export type Confirm = (epoch: number) => Promise<Receipt>

export interface ChangeRequest {
  readonly actor: Actor
  readonly at: number
}

/**
 * A call that may be repeated by a client that lost the answer, and then is one call
 * (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/).
 */
export interface IdempotencyKey {
  /** Whose key it is: two callers may choose the same. */
  readonly scope: string
  readonly key: string
}

/** The same as the store needs it. */
export interface Once extends IdempotencyKey {
  /** Of what was asked for: the same key for something else is a mistake, and refused. */
  readonly fingerprint: string
  /** The new secret, sealed, for the answer to a repetition. */
  readonly sealed: string
}

/** A domain that may be sent from at once, or not before its challenge is met. */
export type NewDomain =
  | { readonly state: 'verified' }
  | { readonly state: 'pending'; readonly challenge: string; readonly checkAt: number }

/** A grant as it is asked for: domains by id, all of the token's own account. */
export interface GrantRequest {
  readonly resource: { readonly type: 'account' | 'domain'; readonly id: number }
  readonly level: AccessLevel
}

export interface AuditEvent {
  readonly id: number
  readonly at: number
  readonly accountId: number | null
  readonly actor: string
  readonly actorTokenId: number | null
  readonly origin: string
  /** `token.created`, `token.reset`, `token.deleted`, `domain.added`, … */
  readonly action: string
  /** What is there once, a key or the fleet, has the id 0. */
  readonly subject: {
    readonly type: 'account' | 'domain' | 'token' | 'key' | 'fleet'
    readonly id: number
  }
  readonly before: unknown
  readonly after: unknown
}

/** The control plane's view. Each change is one transaction with its audit row and its entry in the revocation log. */
export interface Registry {
  createAccount(request: ChangeRequest & { name: string }): Promise<Change<Account>>
  getAccount(accountId: number): Promise<Account | undefined>
  listAccounts(): Promise<Account[]>

  /**
   * Adds the domain and, in the same transaction, its token `<domain> token <id>` with Domain Admin on it. A name is taken
   * when an account has it verified, or the same account has it already.
   */
  addDomain(
    request: ChangeRequest & { accountId: number; name: string; token: MintedToken } & NewDomain,
  ): Promise<Change<{ domain: AccountDomain; token: TokenRecord }>>
  getDomain(domainId: number): Promise<AccountDomain | undefined>
  /** All domains, or one account's, by name. */
  listDomains(accountId?: number): Promise<AccountDomain[]>
  /**
   * Makes a pending domain a verified one, unless another account was first. With a challenge: only if it is still that of
   * the domain, and was found in the DNS. A repeated call is `done` again.
   */
  verifyDomain(
    request: ChangeRequest & { domainId: number; challenge?: string | undefined },
  ): Promise<Change<AccountDomain>>
  /** Notes what a look at the record of a pending domain found. Undefined when there is none any more. */
  noteDomainCheck(
    domainId: number,
    note: Omit<DomainProof, 'challenge'> & { readonly nextCheckAt: number | null },
  ): Promise<AccountDomain | undefined>
  /** Pending domains to look at by `at`: nobody else gets them before `until`. */
  claimDomainChecks(request: {
    readonly at: number
    readonly until: number
    readonly limit: number
  }): Promise<AccountDomain[]>
  /** Removes the domain with every grant on it. */
  removeDomain(request: ChangeRequest & { domainId: number }): Promise<Change<AccountDomain>>

  createToken(
    request: ChangeRequest & {
      accountId: number
      name: string
      grants: readonly GrantRequest[]
      expiresAt: number | null
      token: MintedToken
      once?: Once | undefined
    },
  ): Promise<Change<TokenRecord>>
  getToken(tokenId: number): Promise<TokenRecord | undefined>
  /** Whether this was a token of the account, and was deleted not long ago. */
  wasDeleted(tokenId: number, accountId: number): Promise<boolean>
  /** All tokens of an account that the sweeper has not removed yet, by id. */
  listTokens(accountId: number): Promise<TokenRecord[]>
  /** The next tokens of an account after an id: those that the caller sees, and that are searched for. */
  pageTokens(request: {
    readonly accountId: number
    readonly after: number
    readonly limit: number
    /** Left out, whoever asks sees all of them. */
    readonly seenBy?: (Holder & { readonly tokenId: number }) | undefined
    /** Part of a name, or the last four characters. */
    readonly search?: string | undefined
    /** Only those with a grant on one of these domains. */
    readonly onDomains?: readonly number[] | undefined
  }): Promise<TokenRecord[]>
  /** Changes name, permissions and rate together. What the permissions become is decided on what they are by then. */
  editToken(
    request: ChangeRequest & {
      tokenId: number
      name?: string | undefined
      grants?: ((current: readonly Grant[]) => readonly GrantRequest[]) | undefined
      rate?: RateText | undefined
    },
  ): Promise<Change<TokenRecord>>
  /** Replaces the whole set of grants. */
  replaceGrants(
    request: ChangeRequest & { tokenId: number; grants: readonly GrantRequest[] },
  ): Promise<Change<TokenRecord>>
  /**
   * Mints the successor with the grants as of this instant, and lets the old token live until `windowEndsAt`.
   * `expiresAt` of the successor: undefined copies the old one's. A repetition has no `old` when that is gone meanwhile.
   */
  resetToken(
    request: ChangeRequest & {
      tokenId: number
      windowEndsAt: number
      expiresAt?: number | null
      token: MintedToken
      once?: Once | undefined
    },
  ): Promise<Change<{ old: TokenRecord | undefined; successor: TokenRecord }>>
  /** Clears the window of a token that was reset, while it still runs. The successor stays an ordinary token. */
  undoReset(request: ChangeRequest & { tokenId: number }): Promise<Change<TokenRecord>>
  /** Shortens, ends or extends a running window; at most `latestMs` after the reset. */
  changeWindow(
    request: ChangeRequest & { tokenId: number; windowEndsAt: number; latestMs: number },
  ): Promise<Change<TokenRecord>>
  /** Deletes the row and writes a tombstone; a repeated call finds the tombstone and is `done` again. */
  deleteToken(
    request: ChangeRequest & { tokenId: number },
  ): Promise<Change<{ tokenId: number; repeated: boolean }>>
  /** The sealed copy of a token, its opening recorded in the audit trail. */
  openSealedCopy(request: ChangeRequest & { tokenId: number }): Promise<Change<string>>
  /** Removes at most `limit` tokens that ended before `endedBefore`; answers how many it removed. */
  sweepExpired(request: { endedBefore: number; at: number; limit: number }): Promise<number>

  /** Newest first; those before an id. */
  listAuditEvents(request: {
    accountId?: number
    before?: number | undefined
    limit: number
  }): Promise<AuditEvent[]>
}
