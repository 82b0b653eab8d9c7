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
const onlyFromGate = [
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
]
const onlyFromGatePrefixes = ['postern-', 'x-forwarded-', 'sec-websocket-']

/** `connection` names further fields that are hop-by-hop; content-length is right for what passes unchanged. */
const strippedFromAnswers = patternOf([...hopByHop, 'cache-control', 'x-request-id'], ['postern-'])

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
}

/**
 * Makes the fields of a request to the upstream, as a flat list of names and values. Those of the operator, the upstream's
 * own credential and the like, come last, and nothing overrides them.
 */
export function createUpstreamHeaders(operatorHeaders: readonly (readonly [string, string])[]) {
  const names = [...onlyFromGate, ...operatorHeaders.map(([name]) => name)]
  const stripped = patternOf(names, onlyFromGatePrefixes)

  return function upstreamHeaders(rawHeaders: readonly string[], stamp: Stamp): string[] {
    const fields = strip(rawHeaders, stripped)
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
}

/** The fields of the answer to the client. Both are flat lists of names and values; those that came are in lower case. */
export function answerHeaders(
  answered: readonly string[],
  { principal, requestId }: Pick<Stamp, 'principal' | 'requestId'>,
): string[] {
  const fields = strip(answered, strippedFromAnswers)
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

/** What is left of flat fields. */
function strip(fields: readonly string[], stripped: RegExp): string[] {
  const dropped = connectionOptions(fields)
  const kept: string[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i] ?? ''
    if (stripped.test(name)) continue
    if (dropped !== none && dropped.has(canonical(name))) continue
    kept.push(name, fields[i + 1] ?? '')
  }
  return kept
}

/** Matches these names, and what begins with one of these prefixes, in any spelling. */
function patternOf(names: readonly string[], prefixes: readonly string[]): RegExp {
  const anyOf = (texts: readonly string[]) =>
    texts.map((text) => text.replace(/[*+.^$|]/g, '\\$&').replace(/[-_]/g, '[-_]')).join('|')
  return new RegExp(`^(?:(?:${anyOf(names)})$|(?:${anyOf(prefixes)}))`, 'i')
}

function canonical(name: string): string {
  const lower = name.toLowerCase()
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower
}

/** The fields that `Connection` names are for this hop only (RFC 9110 §7.6.1). */
function connectionOptions(rawHeaders: readonly string[]): ReadonlySet<string> {
  let options: Set<string> | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length !== 'connection'.length || name.toLowerCase() !== 'connection') continue
    const value = rawHeaders[i + 1] ?? ''
    // What nearly everybody says: Keep-Alive is stripped in any case, and no field is named Close.
    if (value === 'keep-alive' || value === 'close') continue
    options ??= new Set()
    for (const option of value.split(',')) options.add(canonical(option.trim()))
  }
  return options ?? none
}
