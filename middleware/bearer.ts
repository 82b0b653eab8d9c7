import { readCredential } from '../src/core/credential-fields.ts'
import type { Admission } from '../src/service/admission.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import { refuse, refuseDenial } from './challenge.ts'
import type { DecisionReport, Step } from './exchange.ts'

/** A token in a URL ends up in logs, so that it is refused wherever it could be one (RFC 6750 §2.3, RFC 9700 §4.3.2). */
const tokenParameters = new Set(['token', 'api_token', 'access_token', 'api-token'])

function hasTokenInQuery(rawUrl: string): boolean {
  const start = rawUrl.indexOf('?')
  if (start < 0) return false
  const names = [...new URLSearchParams(rawUrl.slice(start + 1)).keys()]
  return names.some((name) => tokenParameters.has(name.trim().toLowerCase()))
}

export interface BearerDeps {
  readonly authenticator: Pick<Authenticator, 'present'>
  readonly admission: Pick<Admission, 'fail'>
  /** Left out: the address of the connection. */
  readonly clientAddress?: ClientAddress | undefined
  readonly report?: DecisionReport
}

/** The client behind the proxies that are trusted to tell; `forwardedFor` is `X-Forwarded-For`. */
export type ClientAddress = (remoteAddress: string, forwardedFor: string | undefined) => string

/** Finds exactly one credential, and its digest; everything else ends here. */
export function bearer({ authenticator, admission, clientAddress, report }: BearerDeps): Step {
  return function readBearer(exchange) {
    const { rawHeaders, headers, socket, url = '' } = exchange.incoming
    const { remoteAddress = '' } = socket
    // Node joins several of them with a comma, as they are meant to be read.
    const forwardedFor = headers['x-forwarded-for'] as string | undefined
    exchange.remoteAddress = clientAddress?.(remoteAddress, forwardedFor) ?? remoteAddress
    if (hasTokenInQuery(url)) {
      const sentence = 'A token in the URL is not accepted: use the Authorization header'
      return refuse(exchange, 400, [sentence])
    }
    const credential = readCredential(rawHeaders)
    if (credential.found === 'several') {
      const sentence = 'More than one credential: send Authorization or Api-Token, once'
      return refuse(exchange, 400, [sentence])
    }
    if (credential.found !== 'one') {
      const denial = { allowed: false, reason: 'no-credential' } as const
      report?.(exchange, 'auth', denial)
      return refuseDenial(exchange, denial)
    }
    const presented = authenticator.present(credential.bearerToken)
    if (presented === undefined) {
      const malformed = { allowed: false, reason: 'malformed-token' } as const
      const denial = admission.fail(malformed, exchange.remoteAddress)
      report?.(exchange, 'auth', denial)
      return refuseDenial(exchange, denial)
    }
    exchange.presented = presented
    return undefined
  }
}
