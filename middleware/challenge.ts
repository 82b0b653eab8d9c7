import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Denial } from '../src/core/denial.ts'
import type { GateEnv } from './context.ts'

/**
 * Everything an HTTP client is told by the gate itself, in the vendor's shape `{"success":false,"errors":[…]}`.
 * Unknown, malformed, expired and deleted tokens read the same.
 */

/** The vendor answers 401 where a live token lacks the domain; 403 lets people tell the two apart. */
export type ForbiddenStatus = 401 | 403

export type Refusal = Response

/** How soon a client may try again when the gate, or what is behind it, could not answer. */
const retryAfterSeconds = 2

export function refuse(
  c: Context<GateEnv>,
  status: ContentfulStatusCode,
  errors: readonly string[],
  headers: Readonly<Record<string, string>> = {},
): Refusal {
  // A client that still waits for "100 Continue" may or may not send its body after a final answer (RFC 9110 §10.1.1).
  const unread = c.env.incoming.headers.expect !== undefined && !c.env.incoming.complete
  const close = unread ? { connection: 'close' } : {}
  return c.json({ success: false, errors }, status, {
    'cache-control': 'no-store',
    ...close,
    ...headers,
  })
}

/** Translates a denial of a whole request. */
export function refuseDenial(
  c: Context<GateEnv>,
  denial: Denial,
  forbiddenStatus: ForbiddenStatus = 403,
): Refusal {
  switch (denial.reason) {
    case 'no-credential':
      // RFC 6750 §3.1: no error code when no credential was sent.
      return refuse(c, 401, ['Unauthorized'], { 'www-authenticate': 'Bearer' })
    case 'malformed-token':
    case 'unknown-token':
    case 'expired-token':
    case 'wrong-username':
      return refuse(c, 401, ['Unauthorized'], {
        'www-authenticate': 'Bearer error="invalid_token"',
      })
    case 'too-many-failures':
      return refuseForNow(c, denial, 'Too many failed authentications: try again later')
    case 'too-many-calls':
      // The vendor's words.
      return refuseForNow(c, denial, 'Rate limit exceeded')
    case 'unknown-domain':
    case 'unverified-domain':
    case 'not-domain-admin':
      return refuseSenders(c, [senderSentence(denial)], forbiddenStatus)
  }
}

/** RFC 6585 §4. */
function refuseForNow(c: Context<GateEnv>, { waitMs = 0 }: Denial, sentence: string): Refusal {
  return refuse(c, 429, [sentence], {
    'retry-after': String(Math.max(1, Math.ceil(waitMs / 1000))),
  })
}

/** One sentence for each sender that is refused. */
export function refuseSenders(
  c: Context<GateEnv>,
  sentences: readonly string[],
  forbiddenStatus: ForbiddenStatus,
): Refusal {
  return refuse(c, forbiddenStatus, sentences, {
    'www-authenticate': 'Bearer error="insufficient_scope"',
  })
}

/** Which domains exist here and to whom they belong is nobody's business, so that the three reasons read the same. */
export function senderSentence(denial: Denial): string {
  return `Sending from domain ${denial.domain ?? ''} is not allowed for this API token`
}

/** The gate cannot find out: never a bad credential. */
export function refuseUndecided(c: Context<GateEnv>): Refusal {
  return refuse(c, 503, ['Service temporarily unavailable: try again'], {
    'retry-after': String(retryAfterSeconds),
  })
}

/** What the forwarding part says when the Email API did not answer as one. */
export type UpstreamFailure = 'unreachable' | 'timeout' | 'misbehaved' | 'refused-gate'

export function upstreamAnswer(failure: UpstreamFailure): {
  readonly status: number
  readonly sentence: string
} {
  switch (failure) {
    case 'unreachable':
      return { status: 502, sentence: 'The Email API behind the gate cannot be reached' }
    case 'timeout':
      return { status: 504, sentence: 'The Email API behind the gate did not answer in time' }
    case 'misbehaved':
      return { status: 502, sentence: 'The Email API behind the gate broke off its answer' }
    case 'refused-gate':
      return { status: 502, sentence: 'The Email API behind the gate did not accept the gate' }
  }
}

/** A body in the shape of every refusal, for answers that are written without Hono. */
export function errorBody(sentence: string): string {
  return JSON.stringify({ success: false, errors: [sentence] })
}
