import type { ServerResponse } from 'node:http'
import type { Denial } from '../src/core/denial.ts'
import type { Exchange } from './exchange.ts'
import type { ConnectionFailure } from './upstream-connection.ts'

/**
 * Everything an HTTP client is told by the gate itself, in the vendor's shape `{"success":false,"errors":[…]}`.
 * Unknown, malformed, expired and deleted tokens read the same.
 */

/** The vendor answers 401 where a live token lacks the domain; 403 lets people tell the two apart. */
export type ForbiddenStatus = 401 | 403

export interface Refusal {
  readonly status: number
  readonly errors: readonly string[]
  readonly headers: Readonly<Record<string, string>>
}

/** How soon a client may try again when the gate, or what is behind it, could not answer. */
const retryAfterSeconds = 2

export function refuse(
  { incoming }: Pick<Exchange, 'incoming'>,
  status: number,
  errors: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  // A client that still waits for "100 Continue" may or may not send its body after a final answer (RFC 9110 §10.1.1).
  const unread = incoming.headers.expect !== undefined && !incoming.complete
  const close = unread ? { connection: 'close' } : {}
  return { status, errors, headers: { 'cache-control': 'no-store', ...close, ...headers } }
}

/** Writes a refusal as the answer to a request. */
export function answer(
  outgoing: ServerResponse,
  { status, errors, headers }: Refusal,
  requestId: string,
) {
  const body = errorBody(...errors)
  outgoing
    .writeHead(status, {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'x-request-id': requestId,
      ...headers,
    })
    .end(body)
}

/** Translates a denial of a whole request. */
export function refuseDenial(
  exchange: Exchange,
  denial: Denial,
  forbiddenStatus: ForbiddenStatus = 403,
): Refusal {
  switch (denial.reason) {
    case 'no-credential':
      // RFC 6750 §3.1: no error code when no credential was sent.
      return refuse(exchange, 401, ['Unauthorized'], { 'www-authenticate': 'Bearer' })
    case 'malformed-token':
    case 'unknown-token':
    case 'expired-token':
    case 'wrong-username':
      return refuse(exchange, 401, ['Unauthorized'], {
        'www-authenticate': 'Bearer error="invalid_token"',
      })
    case 'too-many-failures':
      return refuseForNow(exchange, denial, 'Too many failed authentications: try again later')
    case 'too-many-calls':
      // The vendor's words.
      return refuseForNow(exchange, denial, 'Rate limit exceeded')
    case 'unknown-domain':
    case 'unverified-domain':
    case 'not-domain-admin':
      return refuseSenders(exchange, [senderSentence(denial)], forbiddenStatus)
  }
}

/** RFC 6585 §4. */
function refuseForNow(exchange: Exchange, { waitMs = 0 }: Denial, sentence: string): Refusal {
  return refuse(exchange, 429, [sentence], {
    'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))),
  })
}

/** One sentence for each sender that is refused. */
export function refuseSenders(
  exchange: Exchange,
  sentences: readonly string[],
  forbiddenStatus: ForbiddenStatus,
): Refusal {
  return refuse(exchange, forbiddenStatus, sentences, {
    'www-authenticate': 'Bearer error="insufficient_scope"',
  })
}

/** Which domains exist here and to whom they belong is nobody's business, so that the three reasons read the same. */
export function senderSentence(denial: Denial): string {
  return `Sending from domain ${denial.domain ?? ''} is not allowed for this API token`
}

/** The gate cannot find out: never a bad credential. */
export function refuseUndecided(exchange: Exchange): Refusal {
  return refuse(exchange, 503, ['Service temporarily unavailable: try again'], {
    'retry-after': String(retryAfterSeconds),
  })
}

/** What the forwarding part says when the Email API did not answer as one. */
export type UpstreamFailure = ConnectionFailure | 'refused-gate'

export function refuseForUpstream(exchange: Exchange, failure: UpstreamFailure): Refusal {
  switch (failure) {
    case 'unreachable':
      return refuse(exchange, 502, ['The Email API behind the gate cannot be reached'])
    case 'timeout':
      return refuse(exchange, 504, ['The Email API behind the gate did not answer in time'])
    case 'misbehaved':
      return refuse(exchange, 502, ['The Email API behind the gate broke off its answer'])
    case 'refused-gate':
      return refuse(exchange, 502, ['The Email API behind the gate did not accept the gate'])
  }
}

/** A body in the shape of every refusal. */
export function errorBody(...sentences: readonly string[]): string {
  return JSON.stringify({ success: false, errors: sentences })
}
