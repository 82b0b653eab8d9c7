import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Refusal } from '../service/ports.ts'

/**
 * What the management API says when it does not do what it was asked: the vendor's bodies, whose shape depends on the
 * status. Existing clients read `error` for 401 and 404, `errors` as a text for 403, and as an object for 422.
 */

export function unauthorised(c: Context) {
  c.header('WWW-Authenticate', 'Bearer')
  return c.json({ error: 'Incorrect API token' }, 401)
}

export function notFound(c: Context) {
  return c.json({ error: 'Not Found' }, 404)
}

export function badRequest(c: Context, sentence: string) {
  return c.json({ error: sentence }, 400)
}

export function forbidden(c: Context, sentence = 'Access forbidden') {
  return c.json({ errors: sentence }, 403)
}

export function invalid(c: Context, errors: Readonly<Record<string, readonly string[]>>) {
  return c.json({ errors }, 422)
}

export function unavailable(c: Context, status: ContentfulStatusCode = 503) {
  c.header('Retry-After', '2')
  return c.json({ error: 'Service temporarily unavailable: try again' }, status)
}

export function refused(c: Context, refusal: Refusal) {
  switch (refusal.reason) {
    case 'no-such-token':
      return notFound(c)
    case 'no-such-account':
    case 'no-such-domain':
      return forbidden(c)
    case 'last-token':
      return forbidden(c, `This is the last lasting token of ${refusal.domains.join(', ')}`)
    case 'already-reset':
      return base(
        c,
        `This token was reset at ${new Date(refusal.at).toISOString()}; its successor is ${refusal.successorId}`,
      )
    case 'expired':
      return base(c, 'This token has expired')
    case 'not-reset':
      return base(c, 'No reset window of this token is running')
    case 'window-too-long':
      return base(
        c,
        `A reset window may last until ${new Date(refusal.latest).toISOString()} at most`,
      )
    case 'key-of-another-call':
      return base(c, 'This idempotency key was used for another call')
    case 'domain-taken':
      return base(c, `${refusal.name} belongs to an account already`)
    case 'not-sealed':
      return base(c, 'No copy of this token was kept')
  }
}

function base(c: Context, sentence: string) {
  return invalid(c, { base: [sentence] })
}
