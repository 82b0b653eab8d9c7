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
const isStrippedFromRequests = oneOf([
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
const isStrippedFromAnswers = oneOf([...hopByHop, 'cache-control', 'x-request-id'])

/** RFC 9110 §5.5: anything else in a value could end its line. */
const notInValue = /[^\t\x20-\x7e\x80-\xff]/

export interface Stamp {
  readonly principal: Principal
  /** A compact JWS. */
  readonly assertion: string
  readonly requestId: string
  readonly remoteAddress: string
  readonly protocol: 'http' | 'https'
  readonly host: string | undefined
  /** Of the body, undefined when there is none. */
  readonly contentType: string | undefined
}

/** The fields of a request to the upstream, but for those of its connection and its length. */
export interface RequestFields {
  /** The operator's. Undefined: the upstream's own. */
  readonly host: string | undefined
  /** All others, each a whole line (RFC 9112 §5). */
  readonly lines: string
}

/**
 * Strips and stamps the fields of each request. `operatorHeaders`, the upstream's own credential and the like, come last, so that
 * nothing overrides them. Throws for a value that is not one line of text; so does the function that it makes.
 */
export function createRequestFields(operatorHeaders: readonly (readonly [string, string])[]) {
  const isSetByOperator = oneOf(operatorHeaders.map(([name]) => canonical(name)))
  let host: string | undefined
  let operatorLines = ''
  for (const [name, value] of operatorHeaders) {
    const line = fieldLine(name, value)
    if (canonical(name) === 'host') host = value
    else operatorLines += line
  }

  return function requestFields(rawHeaders: readonly string[], stamp: Stamp): RequestFields {
    const dropped = connectionOptions(rawHeaders)
    let lines = ''
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      const name = rawHeaders[i] ?? ''
      const key = canonical(name)
      if (isStrippedFromRequests(key) || hasStrippedPrefix(key) || isSetByOperator(key)) continue
      if (dropped?.has(key)) continue
      lines += fieldLine(name, rawHeaders[i + 1] ?? '')
    }
    return { host, lines: lines + stampLines(stamp) + operatorLines }
  }
}

/** Only what came from outside is searched for line ends: the rest is numbers, identifiers and a JWS of the gate's own. */
function stampLines(stamp: Stamp): string {
  const { principal, assertion, requestId, remoteAddress, protocol, host, contentType } = stamp
  return (
    `Postern-Assertion: ${assertion}\r\nPostern-Account-Id: ${principal.accountId}\r\n` +
    `Postern-Token-Id: ${principal.tokenId}\r\nX-Forwarded-Proto: ${protocol}\r\nX-Request-Id: ${requestId}\r\n` +
    fieldLine('X-Forwarded-For', remoteAddress) +
    (host === undefined ? '' : fieldLine('X-Forwarded-Host', host)) +
    (contentType === undefined ? '' : fieldLine('Content-Type', contentType))
  )
}

function fieldLine(name: string, value: string): string {
  if (notInValue.test(value)) throw new Error(`a value of ${name} is not one line of text`)
  return `${name}: ${value}\r\n`
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
    if (isStrippedFromAnswers(name) || dropped?.has(name)) continue
    if (name.startsWith('postern-') || name.startsWith('postern_')) continue
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

function hasStrippedPrefix(key: string): boolean {
  return strippedPrefixes.some((prefix) => key.startsWith(prefix))
}

/** Whether a text is one of a few names. A set would hash one off the wire first: to compare it with those of its length is cheaper. */
function oneOf(names: readonly string[]): (text: string) => boolean {
  const byLength = Map.groupBy(names, ({ length }) => length)
  return (text) => byLength.get(text.length)?.includes(text) ?? false
}

/** The fields that `Connection` names are for this hop only (RFC 9110 §7.6.1). Undefined: none. */
function connectionOptions(rawHeaders: readonly string[]): ReadonlySet<string> | undefined {
  let options: Set<string> | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    // Most are of another length, and need no look at their case.
    const name = rawHeaders[i] ?? ''
    if (name.length !== 'connection'.length || name.toLowerCase() !== 'connection') continue
    const value = rawHeaders[i + 1] ?? ''
    // What nearly everybody says: Keep-Alive is stripped in any case, and no field is named Close.
    if (value === 'keep-alive' || value === 'close') continue
    options ??= new Set()
    for (const option of value.split(',')) options.add(canonical(option.trim()))
  }
  return options
}
