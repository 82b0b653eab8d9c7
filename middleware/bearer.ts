import { createMiddleware } from 'hono/factory'
import type { Authenticator } from '../src/service/authenticate.ts'
import { refuse, refuseDenial } from './challenge.ts'
import type { GateEnv } from './context.ts'
import type { DecisionReport } from './report.ts'

/** What a request's fields say of its credential. */
type PresentedCredential =
  | { readonly found: 'one'; readonly bearerToken: string }
  | { readonly found: 'none' | 'other-scheme' | 'several' }

/**
 * Reads the bearer token from `Authorization: Bearer` or `Api-Token`. Two credential fields are ambiguous even when they
 * are equal: which one counts would depend on who reads them.
 */
function readCredential(rawHeaders: readonly string[]): PresentedCredential {
  let found: PresentedCredential = { found: 'none' }
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]?.toLowerCase()
    if (name !== 'authorization' && name !== 'api-token') continue
    if (found.found !== 'none') return { found: 'several' }
    const value = rawHeaders[i + 1] ?? ''
    found = name === 'api-token' ? { found: 'one', bearerToken: value } : readAuthorization(value)
  }
  return found
}

/** RFC 6750 §2.1; RFC 9110 §11.1: the scheme is case-insensitive. */
function readAuthorization(value: string): PresentedCredential {
  const match = /^bearer +(.*)$/i.exec(value)
  if (match === null) return { found: 'other-scheme' }
  return { found: 'one', bearerToken: match[1] ?? '' }
}

/** A token in a URL ends up in logs, so that it is refused wherever it could be one (RFC 6750 §2.3, RFC 9700 §4.3.2). */
const tokenParameters = new Set(['token', 'api_token', 'access_token', 'api-token'])

function hasTokenInQuery(rawUrl: string): boolean {
  const start = rawUrl.indexOf('?')
  if (start < 0) return false
  const names = [...new URLSearchParams(rawUrl.slice(start + 1)).keys()]
  return names.some((name) => tokenParameters.has(name.trim().toLowerCase()))
}

interface BearerDeps {
  readonly authenticator: Pick<Authenticator, 'present'>
  readonly report?: DecisionReport
}

/** Finds exactly one credential, and its digest; everything else ends here. */
export function bearer({ authenticator, report }: BearerDeps) {
  return createMiddleware<GateEnv>(async function readBearer(c, next) {
    const { rawHeaders, url = '' } = c.env.incoming
    if (hasTokenInQuery(url)) {
      return refuse(c, 400, ['A token in the URL is not accepted: use the Authorization header'])
    }
    const credential = readCredential(rawHeaders)
    if (credential.found === 'several') {
      return refuse(c, 400, ['More than one credential: send Authorization or Api-Token, once'])
    }
    if (credential.found !== 'one') {
      const denial = { allowed: false, reason: 'no-credential' } as const
      report?.(c, 'auth', denial)
      return refuseDenial(c, denial)
    }
    const presented = authenticator.present(credential.bearerToken)
    if (!presented.wellFormed) {
      const denial = { allowed: false, reason: 'malformed-token' } as const
      report?.(c, 'auth', denial)
      return refuseDenial(c, denial)
    }
    c.set('digest', presented.digest)
    return next()
  })
}
