import { normaliseDomain } from './domain.ts'
import { type AccessLevel, maxGrants } from './grants.ts'
import { parseInstant } from './instant.ts'
import { type Digest, digestToken, isWellFormed, lastFour } from './token.ts'
import { nameProblem } from './token-name.ts'

/**
 * Shorter secrets can be found by trying, once a copy of the database is in the wrong hands: what is kept is one plain
 * SHA-256 (docs/decisions/0003-tokens-are-kept-as-sha-256.md).
 */
export const minImportedLength = 16

/** A grant whose domain is still a name, in A-labels; null is the whole account. */
export interface NamedGrant {
  readonly domain: string | null
  readonly level: AccessLevel
}

/** An existing credential, as it is to be kept. */
export interface ImportedCredential {
  readonly name: string
  readonly digest: Digest
  readonly lastFour: string
  /** In the clear, if that is how it came. */
  readonly bearerToken: string | null
  readonly grants: readonly NamedGrant[]
  readonly expiresAt: number | null
  /** When it was made, elsewhere; null if nobody says. */
  readonly createdAt: number | null
}

export const importColumns = [
  'name',
  'token',
  'sha256',
  'last_four',
  'domains',
  'account_level',
  'expires_at',
  'created_at',
] as const
export type ImportColumn = (typeof importColumns)[number]

/** One credential as it was written down. What is absent or empty is not said. */
export type ImportFields = Readonly<Partial<Record<ImportColumn, string>>>

export type Read<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string }

export interface ImportSurroundings {
  /** For what names no permissions of its own. */
  readonly defaultGrants: readonly NamedGrant[]
  readonly defaultName: string | undefined
  readonly tokenPrefix: string
  readonly now: number
}

/** Reads one credential. A problem never repeats what might be a secret. */
export function readImportedCredential(
  fields: ImportFields,
  { defaultGrants, defaultName, tokenPrefix, now }: ImportSurroundings,
): Read<ImportedCredential> {
  const name = fields.name || defaultName
  if (name === undefined) return problem('it has no name, and no --name was given')
  const badName = nameProblem(name)
  if (badName !== undefined) return problem(badName)

  const secret = readSecret(fields, tokenPrefix)
  if (!secret.ok) return secret
  const grants = readPermissions(fields, defaultGrants)
  if (!grants.ok) return grants

  const expiresAt = readColumnInstant(fields, 'expires_at')
  if (!expiresAt.ok) return expiresAt
  if (expiresAt.value !== null && expiresAt.value <= now) return problem('it has expired')
  const createdAt = readColumnInstant(fields, 'created_at')
  if (!createdAt.ok) return createdAt
  if (createdAt.value !== null && createdAt.value > now) return problem('created_at is to come')
  return {
    ok: true,
    value: {
      name,
      ...secret.value,
      grants: grants.value,
      expiresAt: expiresAt.value,
      createdAt: createdAt.value,
    },
  }
}

/** `acme.test:admin, example.com:viewer`: a level that is left out is admin. */
export function readNamedGrants(text: string): Read<readonly NamedGrant[]> {
  const grants = new Map<string, NamedGrant>()
  for (const item of text.split(/[\s,;]+/).filter((item) => item !== '')) {
    const [written = '', level = 'admin', ...rest] = item.split(':')
    const domain = normaliseDomain(written)
    if (domain === undefined || rest.length > 0) {
      return problem('domains: NAME or NAME:LEVEL, separated by spaces, is expected')
    }
    if (!isLevel(level)) return problem('domains: a level is admin or viewer')
    if (grants.has(domain)) return problem(`domains: ${domain} is named twice`)
    grants.set(domain, { domain, level })
  }
  if (grants.size > maxGrants) return problem(`domains: ${maxGrants} at most`)
  return { ok: true, value: [...grants.values()] }
}

function readPermissions(
  { domains = '', account_level: level = '' }: ImportFields,
  defaultGrants: readonly NamedGrant[],
): Read<readonly NamedGrant[]> {
  const onDomains = readNamedGrants(domains)
  if (!onDomains.ok) return onDomains
  if (level !== '' && !isLevel(level)) return problem('account_level is admin or viewer')
  const onAccount = isLevel(level) ? [{ domain: null, level }] : []
  const own = [...onAccount, ...onDomains.value]
  const value = own.length === 0 ? defaultGrants : own
  if (value.length === 0) return problem('it has no permissions, and no --domain was given')
  return { ok: true, value }
}

type Secret = Pick<ImportedCredential, 'digest' | 'lastFour' | 'bearerToken'>

function readSecret(
  { token = '', sha256 = '', last_four: shown = '' }: ImportFields,
  tokenPrefix: string,
): Read<Secret> {
  if (token !== '' && sha256 !== '') return problem('it has both a token and a sha256')
  if (token !== '') {
    const bad = tokenProblem(token, tokenPrefix)
    if (bad !== undefined) return problem(bad)
    const value = { digest: digestToken(token), lastFour: lastFour(token), bearerToken: token }
    return { ok: true, value }
  }
  if (sha256 === '') return problem('it has neither a token nor a sha256')
  const digest = readDigest(sha256)
  if (digest === undefined) return problem('sha256 is not 64 hexadecimal digits, nor base64')
  // Four characters are shown of every token; of a digest nobody knows them.
  if (!/^[\x21-\x7e]{0,4}$/.test(shown)) return problem('last_four is four printable characters')
  return { ok: true, value: { digest, lastFour: shown, bearerToken: null } }
}

/** Why no gate would accept this token, or why none should; undefined if it can be imported. */
function tokenProblem(token: string, tokenPrefix: string): string | undefined {
  if (/[^\x21-\x7e]/.test(token)) return 'the token has characters beyond printable ASCII'
  if (token.length < minImportedLength) {
    return `the token is shorter than ${minImportedLength} characters: it could be guessed`
  }
  if (isWellFormed(token, tokenPrefix)) return undefined
  return token.startsWith(tokenPrefix)
    ? `the token begins with ${tokenPrefix} and lacks the checksum of such tokens: was it cut?`
    : 'the token is too long: gates do not look it up'
}

/** Hexadecimal, base64 or base64url of the 32 bytes. */
function readDigest(text: string): Digest | undefined {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex').toString('base64url')
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return undefined
  // Two bits of the last character mean nothing: another spelling of the same bytes would never be found.
  return Buffer.from(text, 'base64').toString('base64url')
}

function readColumnInstant(
  fields: ImportFields,
  column: 'expires_at' | 'created_at',
): Read<number | null> {
  const text = fields[column] ?? ''
  if (text === '' || (column === 'expires_at' && text === 'never')) return { ok: true, value: null }
  const at = parseInstant(text)
  if (at === undefined) {
    return problem(`${column} is not a date such as 2027-06-01 or 2027-06-01T12:00:00Z`)
  }
  return { ok: true, value: at }
}

function isLevel(text: string): text is AccessLevel {
  return text === 'admin' || text === 'viewer'
}

function problem(text: string) {
  return { ok: false, problem: text } as const
}
