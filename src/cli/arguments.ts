import { normaliseDomain } from '../core/domain.ts'
import { parseDuration } from '../core/duration.ts'
import type { AccessLevel } from '../core/grants.ts'
import { parseInstant } from '../core/instant.ts'
import { parseRate, type RateText } from '../core/rate.ts'
import { nameProblem } from '../core/token-name.ts'
import type { Account, GrantRequest } from '../service/ports/registry.ts'
import { CommandFailed, type ManagementContext, type OptionValues, UsageError } from './command.ts'
import type { ManagedDomain } from './management.ts'
import { noSuchDomain } from './refusal.ts'

/** Readers of what people type. Each throws a UsageError that says what would be right. */

export function readId(text: string | undefined, what: string): number {
  const id = Number(text)
  if (text === undefined || !/^\d{1,15}$/.test(text) || id < 1) {
    throw new UsageError(`${what} must be a number, not "${text ?? ''}"`)
  }
  return id
}

export function readName(text: string | undefined): string {
  const problem = nameProblem(text ?? '')
  if (text === undefined || problem !== undefined) throw new UsageError(problem ?? 'no name')
  return text
}

/** A trailing dot, as DNS tools print it, is accepted here and nowhere else. */
export function readDomain(text: string): string {
  const name = normaliseDomain(text.replace(/\.$/, ''))
  if (name === undefined) throw new UsageError(`"${text}" is not a domain name`)
  return name
}

/** `12h`, `30m`, `45s`, `7d`, or 0. Answers milliseconds. */
export function readDuration(text: string): number {
  const ms = parseDuration(text)
  if (ms === undefined) throw new UsageError(`"${text}" is not a duration such as 12h, 30m or 0`)
  return ms
}

/** As it is kept: `300/10s`, `off`, or null for the usual rate. */
export function readTokenRate(text: string): RateText {
  if (text === 'usual') return null
  if (text === 'off' || parseRate(text) !== undefined) return text
  throw new UsageError(`"${text}" is not a rate such as 300/10s, nor off, nor usual`)
}

/** An ISO 8601 instant in the future, or `never`. Answers milliseconds since the epoch, or null. */
export function readExpiry(text: string, now: number): number | null {
  if (text === 'never') return null
  const at = parseInstant(text)
  if (at === undefined) {
    throw new UsageError(`"${text}" is not a date such as 2027-06-01 or 2027-06-01T12:00:00Z`)
  }
  if (at <= now) throw new UsageError('the expiry must be in the future')
  return at
}

export function optionText(values: OptionValues, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

/** How many to show. */
export function readLimit(values: OptionValues): number | undefined {
  const text = optionText(values, 'limit')
  return text === undefined ? undefined : readId(text, '--limit')
}

export function readIdempotencyKey(values: OptionValues): string | undefined {
  const key = optionText(values, 'idempotency-key')
  if (key === undefined) return undefined
  if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
    throw new UsageError('an idempotency key has 1 to 255 printable characters and no spaces')
  }
  return key
}

/** The account that is named, or the only one there is. */
export async function readAccount({ values, management }: ManagementContext): Promise<number> {
  const given = optionText(values, 'account')
  const accounts = await management.listAccounts()
  if (given !== undefined) return knownAccount(accounts, readId(given, '--account'))
  const [only] = accounts
  if (only !== undefined && accounts.length === 1) return only.id
  throw new UsageError(
    only === undefined
      ? 'there is no account yet: make one with "postern account create NAME"'
      : 'there are several accounts: name one with --account ID',
  )
}

/** The account that is named, or undefined for all. */
export async function readAnyAccount({
  values,
  management,
}: ManagementContext): Promise<number | undefined> {
  const given = optionText(values, 'account')
  if (given === undefined) return undefined
  return knownAccount(await management.listAccounts(), readId(given, '--account'))
}

function knownAccount(accounts: readonly Pick<Account, 'id'>[], wanted: number): number {
  if (accounts.some(({ id }) => id === wanted)) return wanted
  throw new CommandFailed('there is no such account: "postern account list" shows them')
}

/** The grants that `--domain NAME[:LEVEL]` and `--account-level LEVEL` ask for. */
export async function readGrants(
  { values, management }: ManagementContext,
  accountId: number,
): Promise<readonly GrantRequest[]> {
  const grants: GrantRequest[] = []
  const level = optionText(values, 'account-level')
  if (level !== undefined) {
    grants.push({ resource: { type: 'account', id: accountId }, level: readLevel(level) })
  }
  const texts = optionTexts(values, 'domain')
  const domains = texts.length === 0 ? [] : await management.listDomains(accountId)
  for (const text of texts) {
    const [name = '', domainLevel = 'admin', ...rest] = text.split(':')
    if (rest.length > 0) throw new UsageError(`--domain takes NAME or NAME:LEVEL, not "${text}"`)
    const domain = knownDomain(domains, readDomain(name))
    if (grants.some(({ resource }) => resource.type === 'domain' && resource.id === domain.id)) {
      throw new UsageError(`--domain names ${domain.name} twice`)
    }
    grants.push({ resource: { type: 'domain', id: domain.id }, level: readLevel(domainLevel) })
  }
  if (grants.length === 0) {
    throw new UsageError('no permissions: give --domain NAME:admin, or --account-level admin')
  }
  return grants
}

/** The ids of the domains that `--domain NAME` names, or undefined where none is. */
export async function readDomainIds(
  { values, management }: ManagementContext,
  accountId: number,
): Promise<readonly number[] | undefined> {
  const texts = optionTexts(values, 'domain')
  if (texts.length === 0) return undefined
  const domains = await management.listDomains(accountId)
  return texts.map((text) => knownDomain(domains, readDomain(text)).id)
}

function optionTexts(values: OptionValues, name: string): readonly string[] {
  const given = values[name]
  return Array.isArray(given) ? given.map(String) : []
}

/** By name, or by id. */
export function findDomain(
  domains: readonly ManagedDomain[],
  wanted: string,
): ManagedDomain | undefined {
  const [found, ...others] = domains.filter(
    ({ id, name }) => name === wanted || String(id) === wanted,
  )
  if (others.length > 0) {
    const ids = domains.filter(({ name }) => name === wanted).map(({ id }) => id)
    throw new CommandFailed(
      `several accounts claim ${wanted}: name one of the domains ${ids.join(', ')}`,
    )
  }
  return found
}

/** Throws where there is none. */
export function knownDomain(domains: readonly ManagedDomain[], wanted: string): ManagedDomain {
  const found = findDomain(domains, wanted)
  if (found === undefined) throw new CommandFailed(noSuchDomain(wanted))
  return found
}

export const levels = ['admin', 'viewer'] as const

function readLevel(text: string): AccessLevel {
  if (text === 'admin' || text === 'viewer') return text
  throw new UsageError(`a level is admin or viewer, not "${text}"`)
}
