import type { HttpBindings } from '@hono/node-server'
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { readCredential } from '../core/credential-fields.ts'
import type { Caller } from '../service/callers.ts'
import type { AuthFailures, RateLimit } from '../service/ports/limits.ts'
import { badRequest, forbidden, tooMany, unauthorised } from './errors.ts'

export interface ApiEnv {
  Bindings: HttpBindings
  Variables: { caller: Caller }
}

export type ApiContext = Context<ApiEnv>

export interface CallerDeps {
  readonly findCaller: (bearerToken: string, origin: string) => Promise<Caller | undefined>
  readonly rate: RateLimit
  /** Left out: everybody may fail as often as they like. */
  readonly failures?: AuthFailures | undefined
  readonly clientAddress: (remoteAddress: string, forwardedFor: string | undefined) => string
}

/** Who calls, by the same two header fields as on the data plane, and whether it calls too often. */
export function requireCaller({ findCaller, rate, failures, clientAddress }: CallerDeps) {
  return createMiddleware<ApiEnv>(async function authenticate(c, next) {
    const { rawHeaders, socket } = c.env.incoming
    const credential = readCredential(rawHeaders)
    if (credential.found === 'several') return badRequest(c, 'More than one credential')
    if (credential.found !== 'one') return unauthorised(c)
    const origin = clientAddress(socket.remoteAddress ?? '', c.req.header('x-forwarded-for'))
    const caller = await findCaller(credential.bearerToken, origin)
    if (caller === undefined) {
      const waitMs = failures?.waitMs(origin) ?? 0
      if (waitMs > 0) return tooMany(c, waitMs)
      failures?.add(origin)
      return unauthorised(c)
    }
    c.set('caller', caller)

    const taken = rate.take(caller.tokenId, caller.rate)
    if (taken === undefined) return next()
    const { limit, remaining, waitMs } = taken
    c.header('X-RateLimit-Limit', String(limit))
    c.header('X-RateLimit-Remaining', String(remaining))
    return waitMs > 0 ? tooMany(c, waitMs) : next()
  })
}

/** Paths with an account in them are for that account's tokens. */
export const requireOwnAccount = createMiddleware<ApiEnv>(async function compareAccount(c, next) {
  const isOwn = c.req.param('account_id') === String(c.var.caller.accountId)
  return isOwn ? next() : forbidden(c, 'Account access forbidden')
})

/** False when the field is there and is no key. */
export function idempotencyKey(c: Context): string | undefined | false {
  const key = c.req.header('idempotency-key')
  return key === undefined || /^[\x21-\x7e]{1,255}$/.test(key) ? key : false
}
