/** `postern/middleware`: the check of the HTTP gateway for a Hono app of your own, on @hono/node-server. */

import type { HttpBindings } from '@hono/node-server'
import type { MiddlewareHandler } from 'hono'
import { createMiddleware } from 'hono/factory'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { systemClock } from '../src/clock.ts'
import type { Principal } from '../src/core/decide.ts'
import type { SendKind } from '../src/core/sender-scanner.ts'
import { systemRandom } from '../src/random.ts'
import { createAdmission } from '../src/service/admission.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import type { AuthFailures, RateLimit } from '../src/service/ports/limits.ts'
import { authenticate } from './authenticate.ts'
import { bearer, type ClientAddress } from './bearer.ts'
import type { ForbiddenStatus } from './challenge.ts'
import { type DecisionReport, type FaultReport, openExchange, type Step } from './exchange.ts'
import { sender } from './sender.ts'

export type { ClientAddress } from './bearer.ts'
export type { DecisionReport, Exchange, FaultReport } from './exchange.ts'

export interface GateEnv {
  Bindings: HttpBindings
  Variables: {
    /** Who sends. */
    principal: Principal
    /** As which domains (A-labels); set by `checkSender`. */
    senders: readonly string[]
    /** Where the client is, as far as those can be trusted who say so. */
    remoteAddress: string
  }
}

export interface CheckSenderOptions {
  readonly authenticator: Authenticator
  /** Who fails too often is told so, and does not get far. */
  readonly failures?: AuthFailures
  /** How often a token may call. */
  readonly rate?: RateLimit
  /** Left out: the address of the connection. */
  readonly clientAddress?: ClientAddress
  /** The shape of the body: one message, or a batch of them. */
  readonly kind?: SendKind
  readonly maxBodyBytes?: number
  /** Answer to a live token that may not send as the domain. */
  readonly forbiddenStatus?: ForbiddenStatus
  readonly report?: DecisionReport
  readonly onFault?: FaultReport
}

/** The vendor's limit for one request. */
const defaultMaxBodyBytes = 50 * 1024 * 1024

/**
 * Lets a request through only if its token is alive and administers the domain of every sender in its JSON body. Behind
 * it, `c.var.principal` says who sends and `c.var.senders` as which domains; the body can be read as usual.
 */
export function checkSender(options: CheckSenderOptions): MiddlewareHandler<GateEnv> {
  const { kind = 'send', maxBodyBytes = defaultMaxBodyBytes } = options
  const deps = { ...options, clock: systemClock, admission: createAdmission(options) }
  return asMiddleware([bearer(deps), authenticate(deps), sender({ ...deps, kind, maxBodyBytes })])
}

/** Lets a request through if its token is alive, whatever it may send as. */
export function checkToken(
  options: Omit<CheckSenderOptions, 'kind' | 'maxBodyBytes' | 'forbiddenStatus'>,
): MiddlewareHandler<GateEnv> {
  const deps = { ...options, clock: systemClock, admission: createAdmission(options) }
  return asMiddleware([bearer(deps), authenticate(deps)])
}

function asMiddleware(steps: readonly Step[]): MiddlewareHandler<GateEnv> {
  return createMiddleware<GateEnv>(async function check(c, next) {
    const { incoming, outgoing } = c.env
    const exchange = openExchange(incoming, outgoing, systemRandom.uuid())
    for (const step of steps) {
      const refusal = await step(exchange)
      if (refusal === undefined) continue
      const { status, errors, headers } = refusal
      return c.json({ success: false, errors }, status as ContentfulStatusCode, headers)
    }
    c.set('remoteAddress', exchange.remoteAddress)
    c.set('principal', exchange.principal)
    c.set('senders', exchange.senders)
    if (exchange.body !== undefined) restoreBody(incoming, exchange.body)
    return next()
  })
}

/** A handler behind this one reads the body as if nobody had: @hono/node-server looks for `rawBody` first. */
function restoreBody(incoming: object, chunks: readonly Buffer[]) {
  Object.defineProperty(incoming, 'rawBody', {
    configurable: true,
    get: () => (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)),
  })
}
