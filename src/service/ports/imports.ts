import type { ImportedCredential } from '../../core/imported-credential.ts'
import type { Change, ChangeRequest } from './registry.ts'

/** A credential that was in use before, without its secret. */
export interface TokenToImport extends Omit<ImportedCredential, 'bearerToken'> {
  /** Where it stands in its file. */
  readonly line: number
  readonly sealed: string | null
}

/** What became of a credential that was to be imported. Only with `imported` anything was changed. */
export type ImportOutcome =
  /** Without an id in a trial. */
  | { readonly status: 'imported'; readonly tokenId: number | undefined }
  | { readonly status: 'already-there'; readonly tokenId: number | undefined }
  /** It is there with other permissions, or another expiry, and stays as it is. */
  | { readonly status: 'different'; readonly tokenId: number | undefined }
  | { readonly status: 'no-such-domain'; readonly domain: string }
  | { readonly status: 'of-another-account' }
  /** It was a token here, and was deleted or has ended: that is final. */
  | { readonly status: 'ended' }

/** Credentials of another program. Nodes are told at the end, once. */
export interface ImportRegistry {
  /**
   * One short transaction with its audit row; an outcome for each, in order. A repeated call finds what the first has made.
   * A trial only says what would become of them.
   */
  importTokens(
    request: ChangeRequest & {
      accountId: number
      tokens: readonly TokenToImport[]
      source: string
      trial: boolean
    },
  ): Promise<Change<readonly ImportOutcome[]>>
  /** Ends an import by the entry of the revocation log with which nodes forget that they did not know these tokens. */
  announceImport(request: { at: number }): Promise<number>
}
