import type { Context } from 'hono'
import { maxClaims } from '../core/challenge.ts'
import { maxGrants } from '../core/grants.ts'
import type { Denied } from '../service/callers.ts'
import type { Refusal } from '../service/ports/registry.ts'

/**
 * What the management API says when it does not do what it was asked: the vendor's bodies, whose shape depends on the
 * status. Existing clients read `error` for 401 and 404, `errors` as a text for 403, and as an object for 422.
 */

/** By the field that each is about, as forms show them. */
export type FieldErrors = Readonly<Record<string, readonly string[]>>

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

export function tooLarge(c: Context) {
  return c.json({ error: 'The body is too large' }, 413)
}

export function forbidden(c: Context, sentence = 'Access forbidden') {
  return c.json({ errors: sentence }, 403)
}

export function invalid(c: Context, errors: FieldErrors) {
  return c.json({ errors }, 422)
}

/** About the request as a whole. */
export function invalidAsAWhole(c: Context, sentence: string) {
  return invalid(c, { base: [sentence] })
}

export function tooMany(c: Context, waitMs: number) {
  c.header('Retry-After', String(Math.ceil(waitMs / 1000)))
  return c.json({ errors: 'Rate limit exceeded' }, 429)
}

export function unavailable(c: Context, sentence = 'Service temporarily unavailable: try again') {
  c.header('Retry-After', '2')
  return c.json({ error: sentence }, 503)
}

export function denied(c: Context, why: Denied) {
  switch (why) {
    case 'not-found':
      return notFound(c)
    case 'forbidden':
      return forbidden(c)
    case 'own-permissions':
      return forbidden(c, 'A token cannot change its own permissions')
    case 'own-life':
      return forbidden(c, 'A token cannot make its own life longer')
  }
}

export function refused(c: Context, refusal: Refusal) {
  switch (refusal.reason) {
    case 'no-such-token':
      return notFound(c)
    case 'caller-gone':
      return unauthorised(c)
    case 'not-permitted':
    case 'no-such-account':
    case 'no-such-domain':
      return forbidden(c)
    case 'last-token':
      return forbidden(c, `This is the last lasting token of ${refusal.domains.join(', ')}`)
    case 'already-reset':
      return invalidAsAWhole(
        c,
        `This token was reset at ${new Date(refusal.at).toISOString()}; its successor is ${refusal.successorId}`,
      )
    case 'expired':
      return invalidAsAWhole(c, 'This token has expired')
    case 'not-reset':
      return invalidAsAWhole(c, 'No reset window of this token is running')
    case 'window-too-long':
      return invalidAsAWhole(
        c,
        `A reset window may last until ${new Date(refusal.latest).toISOString()} at most`,
      )
    case 'key-of-another-call':
      return invalidAsAWhole(c, 'This idempotency key was used for another call')
    case 'domain-taken':
      return invalidAsAWhole(c, 'Domain name has already been taken')
    case 'too-many-claims':
      return invalidAsAWhole(c, `An account has ${maxClaims} unverified domains at most`)
    case 'too-many-grants':
      return invalidAsAWhole(c, `A token has ${maxGrants} permissions at most`)
    case 'not-sealed':
      return invalidAsAWhole(c, 'No copy of this token was kept')
  }
}
