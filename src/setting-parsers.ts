import { isIP } from 'node:net'
import { hostname } from 'node:os'
import { parseAddress } from './core/address.ts'
import { isDomainOrLiteral, normaliseDomain } from './core/domain.ts'
import { parseRate, type Rate } from './core/rate.ts'
import { isTokenPrefix } from './core/token.ts'

/** Turns the text of a setting into its value, or throws an error whose message completes "POSTERN_X ". */
export interface Parser<T> {
  (text: string): T
  /** All that the text can be. */
  readonly values?: readonly string[]
}

export interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface HttpUpstream {
  /** Scheme, host and port. */
  readonly origin: string
  /** Put before the path of each route; '' or '/prefix', no trailing slash. */
  readonly basePath: string
}

export interface SmtpUpstream {
  readonly host: string
  readonly port: number
  readonly security: 'none' | 'implicit' | 'starttls'
  readonly auth?: { readonly user: string; readonly pass: string }
}

/** What a route of the data plane is checked for: a sender (or a batch of them), or only a live token. */
export type RouteCheck = 'send' | 'batch' | 'authenticated'

export interface RouteSetting {
  readonly method: string
  /** Exact, but for segments that are `{id}`: decimal digits. */
  readonly path: string
  readonly check: RouteCheck
}

export const text: Parser<string> = (value) => value

export const flag: Parser<boolean> = Object.assign(readFlag, { values: ['true', 'false'] })

function readFlag(value: string): boolean {
  if (value === 'true' || value === '1') return true
  if (value === 'false' || value === '0') return false
  throw new Error(`must be true or false, not "${value}"`)
}

/** A whole number with bounds, both included. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Parser<number> {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < min || number > max) {
      throw new Error(`must be a whole number from ${min} to ${max}, not "${value}"`)
    }
    return number
  }
}

export function oneOf<const T extends string>(...values: readonly T[]): Parser<T> {
  function choose(value: string): T {
    const found = values.find((candidate) => candidate === value)
    if (found === undefined) throw new Error(`must be ${values.join(' or ')}, not "${value}"`)
    return found
  }
  return Object.assign(choose, { values })
}

export function listOf<T>(item: Parser<T>): Parser<readonly T[]> {
  return (value) => {
    const parts = value
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
    if (parts.length === 0) throw new Error('must name at least one')
    return parts.map(item)
  }
}

/** `host:port` or `[address]:port`; port 0 means any free one. */
export const listen: Parser<ListenAddress> = (value) => {
  const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(value)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65535 || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new Error(`must be HOST:PORT or [IPV6]:PORT, not "${value}"`)
  }
  return { host, port }
}

export const httpUpstream: Parser<HttpUpstream> = (value) => {
  const url = parseUrl(value, ['http:', 'https:'])
  if (url.username !== '' || url.password !== '') {
    throw new Error('must not hold a credential: use POSTERN_UPSTREAM_HTTP_HEADERS_FILE')
  }
  if (url.search !== '' || url.hash !== '') throw new Error('must not have a query or a fragment')
  return { origin: url.origin, basePath: url.pathname.replace(/\/+$/, '') }
}

/** Where people reach a listener from outside; shown, never connected to. */
export function publicUrl(...protocols: readonly string[]): Parser<string> {
  return (value) => parseUrl(value, protocols).href.replace(/\/+$/, '')
}

/** Where to report a vulnerability (RFC 9116 §2.5.3): a page, by https only, or a mailbox. */
export const contact: Parser<string> = (value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const isPage = url?.protocol === 'https:'
  const isMailbox = url?.protocol === 'mailto:' && parseAddress(value.slice(7)) !== undefined
  if (url === undefined || !(isPage || isMailbox)) {
    throw new Error(`must be an https:// URL or mailto:ADDRESS, not "${value}"`)
  }
  return url.href
}

const smtpSchemes = {
  'smtp:': { security: 'none', port: 25 },
  'smtps:': { security: 'implicit', port: 465 },
  'smtp+starttls:': { security: 'starttls', port: 587 },
} as const

export const smtpUpstream: Parser<SmtpUpstream> = (value) => {
  const url = parseUrl(value, Object.keys(smtpSchemes))
  const { security, port } = smtpSchemes[url.protocol as keyof typeof smtpSchemes]
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    throw new Error('must end after the host and port')
  }
  const target = {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? port : Number(url.port),
    security,
  }
  if (url.username === '') return target
  const [user, pass] = [readEscaped(url.username), readEscaped(url.password)]
  if (user === undefined || pass === undefined) {
    throw new Error('must have each % of its user name and password written as %25')
  }
  return { ...target, auth: { user, pass } }
}

export const databaseUrl: Parser<string> = (value) => {
  if (/^sqlite:.+/.test(value)) return value
  if (/^postgres(ql)?:\/\//.test(value) && URL.canParse(value)) return value
  // Not echoed: it may hold a password.
  throw new Error('must be sqlite:PATH or postgres://USER@HOST/DATABASE')
}

/** Redis in one of its forms. */
export interface RedisTarget {
  readonly form: 'single' | 'sentinel' | 'cluster'
  readonly tls: boolean
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Of a single server or behind Sentinel. */
  readonly database: number
  /** What Sentinel calls the group of servers. */
  readonly name: string
}

const redisForms = {
  redis: 'single',
  'redis-sentinel': 'sentinel',
  'redis-cluster': 'cluster',
} as const

/** `redis://`, `redis-sentinel://HOST,HOST/NAME` or `redis-cluster://HOST,HOST`, each with `rediss` for TLS. */
export const redisTarget: Parser<RedisTarget> = (value) => {
  const match =
    /^(rediss?)((?:-sentinel|-cluster)?):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^/@]+)((?:\/[^/]*){0,2})$/.exec(
      value,
    )
  const [, scheme = '', suffix = '', username, password, hostList = '', path = ''] = match ?? []
  const form = redisForms[`redis${suffix}` as keyof typeof redisForms]
  const hosts = hostList
    .split(',')
    .map((host) => readHostPort(host, form === 'sentinel' ? 26379 : 6379))
  const segments = path.split('/').slice(1)
  const name = readEscaped(form === 'sentinel' ? segments.shift() : '')
  const [user, secret] = [readEscaped(username), readEscaped(password)]
  const [database = '0', ...rest] = segments.filter((segment) => segment !== '')
  const isGood =
    match !== null &&
    hosts.every((host) => host !== undefined) &&
    [user, secret, name].every((part) => part !== undefined) &&
    (form === 'single' ? hosts.length === 1 : true) &&
    (form === 'sentinel') === (name !== '') &&
    /^\d{1,3}$/.test(database) &&
    (form !== 'cluster' || database === '0') &&
    rest.length === 0
  if (!isGood) {
    // Not echoed: it may hold a password.
    throw new Error(
      'must be redis://HOST:PORT/DATABASE, redis-sentinel://HOST:PORT,…/NAME/DATABASE or redis-cluster://HOST:PORT,…; with rediss for TLS',
    )
  }
  return {
    form,
    tls: scheme === 'rediss',
    hosts: hosts.filter((host) => host !== undefined),
    ...(user && { username: user }),
    ...(secret && { password: secret }),
    database: Number(database),
    name: name ?? '',
  }
}

/** Undefined when a % in it escapes nothing: the error of that would not name the setting. */
function readEscaped(text = ''): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function readHostPort(text: string, defaultPort: number) {
  const match = /^(?:\[([^\]]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3] ?? defaultPort)
  return host === undefined || port < 1 || port > 65535 ? undefined : { host, port }
}

/** What a gate does when its lease is over: a longer lease is the only other way. */
export const outage: Parser<{ readonly graceMs: number }> = (value) => {
  if (value === 'closed') return { graceMs: 0 }
  const [, amount, unit] = /^grace:(\d{1,4})(s|m)$/.exec(value) ?? []
  const graceMs = Number(amount) * (unit === 'm' ? 60_000 : 1_000)
  if (amount === undefined || graceMs > maxGraceMs) {
    throw new Error(
      `must be closed, or grace: with a time up to 15m, such as grace:5m; not "${value}"`,
    )
  }
  return { graceMs }
}

/** With it, a reset window that ends within the hour is confirmed, and one that ends later need not be. */
const maxGraceMs = 900_000

/** `150/10s`, or `off`: null. */
export const rate: Parser<Rate | null> = (value) => {
  const read = value === 'off' ? null : parseRate(value)
  if (read !== undefined) return read
  throw new Error(
    `must be NUMBER/TIME such as 150/10s, with a time from 1s to 1d, or off; not "${value}"`,
  )
}

/** How many connections at once. Null: as many as come. */
export interface ConnectionLimit {
  readonly address: number | null
  readonly account: number | null
}

/** `address:100,account:1000`, one of them, or `off`. */
export const connectionLimit: Parser<ConnectionLimit> = (value) => {
  const limits = { address: null, account: null } as {
    -readonly [K in keyof ConnectionLimit]: number | null
  }
  if (value === 'off') return limits
  for (const part of value.split(',')) {
    const [, whose, count] = /^(address|account):([1-9]\d{0,6})$/.exec(part.trim()) ?? []
    const key = whose as keyof ConnectionLimit | undefined
    if (key === undefined || limits[key] !== null) {
      throw new Error(`must be address:NUMBER,account:NUMBER, one of them, or off; not "${value}"`)
    }
    limits[key] = Number(count)
  }
  return limits
}

/** An address, or a network such as `10.0.0.0/8`. */
export const network: Parser<{ readonly address: string; readonly prefixLength: number }> = (
  value,
) => {
  const [, address = '', length] = /^([0-9A-Fa-f.:]+)(?:\/(\d{1,3}))?$/.exec(value) ?? []
  const bits = isIP(address) === 6 ? 128 : 32
  const prefixLength = Number(length ?? bits)
  if (isIP(address) === 0 || prefixLength > bits) {
    throw new Error(`must be an IP address or a network such as 10.0.0.0/8, not "${value}"`)
  }
  return { address, prefixLength }
}

/** An address with or without a port, as `dns.setServers` takes it. A name would have to be resolved itself. */
export const resolver: Parser<string> = (value) => {
  const written = isIP(value) === 6 ? `[${value}]` : value
  const [, bracketed, plain = '', digits = '53'] =
    /^(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(written) ?? []
  const port = Number(digits)
  const isAddress = bracketed === undefined ? isIP(plain) === 4 : isIP(bracketed) === 6
  if (!isAddress || value.includes('%') || port < 1 || port > 65535) {
    throw new Error(`must be ADDRESS, IPV4:PORT or [IPV6]:PORT, not "${value}"`)
  }
  return bracketed === undefined ? `${plain}:${port}` : `[${bracketed}]:${port}`
}

/** A host name as it stands in a Host field, without port. */
export const hostName: Parser<string> = (value) => {
  const name = value.toLowerCase()
  if (isIP(name) !== 0 || name === 'localhost' || normaliseDomain(name) === name) return name
  throw new Error(`must be a host name without port, not "${value}"`)
}

/** What an SMTP server calls itself: a domain in A-labels, or an address literal. */
export const serverName: Parser<string> = (value) => {
  if (isDomainOrLiteral(value)) return value
  throw new Error(`must be a host name in ASCII or an address in brackets, not "${value}"`)
}

/** What this machine calls itself, if an SMTP server may call itself that. */
export function machineName(): string {
  return isDomainOrLiteral(hostname()) ? hostname() : 'localhost'
}

export const tokenPrefix: Parser<string> = (value) => {
  if (isTokenPrefix(value)) return value
  throw new Error(
    `must be at most 20 letters, digits, "_", "-" or "." that end in one of the last three`,
  )
}

/** `METHOD /path check`. */
export const route: Parser<RouteSetting> = (value) => {
  const [method = '', path = '', check = '', ...rest] = value.split(/\s+/)
  if (!/^[A-Z]+$/.test(method) || !isRoutePath(path) || rest.length > 0) {
    throw new Error(`must be METHOD /path send|batch|authenticated, not "${value}"`)
  }
  return { method, path, check: oneOf('send', 'batch', 'authenticated')(check) }
}

/** Only what every HTTP implementation reads alike: no percent signs, no empty or dot segments. */
function isRoutePath(path: string): boolean {
  return /^(\/(\{id\}|(?!\.{1,2}(\/|$))[A-Za-z0-9._~-]+))+$/.test(path)
}

function parseUrl(value: string, protocols: readonly string[]): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !protocols.includes(url.protocol) || url.hostname === '') {
    // Not echoed: it may hold a password.
    throw new Error(`must be a URL that starts with ${protocols.map((p) => `${p}//`).join(' or ')}`)
  }
  return url
}
