import type { Principal } from '../src/core/decide.ts'

/**
 * Strip, then stamp. Names are compared with "_" read as "-": what follows the CGI convention behind us (RFC 3875 §4.1.18)
 * cannot tell `Postern_Token_Id` from `Postern-Token-Id`.
 */

/** RFC 9110 §7.6.1: about one connection, not about the message. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/** What only the gate may tell the upstream, or what a server there could take for the request's own line. */
const strippedFromRequests = new Set([
  ...hopByHop,
  'authorization',
  'api-token',
  'content-length',
  'content-type',
  'expect',
  'forwarded',
  'host',
  'http2-settings',
  'via',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-url',
  'x-real-ip',
  'x-request-id',
  'x-rewrite-url',
])
const strippedPrefixes = ['postern-', 'x-forwarded-', 'sec-websocket-']

/** `connection` names further fields that are hop-by-hop; content-length is right for what passes unchanged. */
const strippedFromAnswers = new Set([...hopByHop, 'cache-control', 'x-request-id'])

const none: ReadonlySet<string> = new Set()

export interface Stamp {
  readonly principal: Principal
  readonly assertion: string
  readonly requestId: string
  readonly remoteAddress: string
  readonly protocol: 'http' | 'https'
  readonly host: string | undefined
  /** Of the body, undefined when there is none. */
  readonly contentType: string | undefined
  /** The upstream's own credential and the like, set by the operator: last, so that nothing overrides it. */
  readonly operatorHeaders: readonly (readonly [string, string])[]
}

/** The fields of the request to the upstream, as a flat list of names and values. */
export function upstreamHeaders(rawHeaders: readonly string[], stamp: Stamp): string[] {
  const dropped = connectionOptions(rawHeaders)
  const { operatorHeaders } = stamp
  const operatorNames =
    operatorHeaders.length === 0 ? none : new Set(operatorHeaders.map(([name]) => canonical(name)))
  const fields: string[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    const key = canonical(name)
    if (strippedFromRequests.has(key) || dropped.has(key) || operatorNames.has(key)) continue
    if (strippedPrefixes.some((prefix) => key.startsWith(prefix))) continue
    fields.push(name, rawHeaders[i + 1] ?? '')
  }
  fields.push(
    'Postern-Assertion',
    stamp.assertion,
    'Postern-Account-Id',
    String(stamp.principal.accountId),
    'Postern-Token-Id',
    String(stamp.principal.tokenId),
    'X-Forwarded-For',
    stamp.remoteAddress,
    'X-Forwarded-Proto',
    stamp.protocol,
    'X-Request-Id',
    stamp.requestId,
  )
  if (stamp.host !== undefined) fields.push('X-Forwarded-Host', stamp.host)
  if (stamp.contentType !== undefined) fields.push('Content-Type', stamp.contentType)
  for (const [name, value] of operatorHeaders) fields.push(name, value)
  return fields
}

/** The fields of the answer to the client. Both are flat lists of names and values; those that came are in lower case. */
export function answerHeaders(
  answered: readonly string[],
  { principal, requestId }: Pick<Stamp, 'principal' | 'requestId'>,
): string[] {
  const dropped = connectionOptions(answered)
  const fields: string[] = []
  for (let i = 0; i + 1 < answered.length; i += 2) {
    const name = answered[i] ?? ''
    if (strippedFromAnswers.has(name) || dropped.has(name)) continue
    if (canonical(name).startsWith('postern-')) continue
    fields.push(name, answered[i + 1] ?? '')
  }
  // An answer to one credential must not be served to another by a cache on the way.
  fields.push('Cache-Control', 'no-store', 'X-Request-Id', requestId)
  addSunset(fields, principal)
  return fields
}

/** A token in its reset window tells its sender in time: `Sunset` (RFC 8594 §3), `Deprecation` (RFC 9745 §2). */
function addSunset(fields: string[], { standing, endsAt }: Principal) {
  if (standing !== 'reset' || endsAt === null) return
  const sunset = new Date(endsAt).toUTCString()
  fields.push('Sunset', sunset, 'Deprecation', `@${Math.floor(endsAt / 1000)}`)
}

function canonical(name: string): string {
  const lower = name.toLowerCase()
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}

/** The fields that `Connection` names are for this hop only (RFC 9110 §7.6.1). */
function connectionOptions(rawHeaders: readonly string[]): ReadonlySet<string> {
  let options: Set<string> | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.toLowerCase() !== 'connection') continue
    const value = rawHeaders[i + 1] ?? ''
    // What nearly everybody says: Keep-Alive is stripped in any case, and no field is named Close.
    if (value === 'keep-alive' || value === 'close') continue
    options ??= new Set()
    for (const option of value.split(',')) options.add(canonical(option.trim()))
  }
  return options ?? none
}
