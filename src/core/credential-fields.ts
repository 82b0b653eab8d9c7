/** What a request's fields say of its credential. */
export type PresentedCredential =
  | { readonly found: 'one'; readonly bearerToken: string }
  | { readonly found: 'none' | 'other-scheme' | 'several' }

/**
 * Reads the bearer token from `Authorization: Bearer` or `Api-Token`. Two credential fields are ambiguous even when they
 * are equal: which one counts would depend on who reads them. `rawHeaders` is a flat list of names and values.
 */
export function readCredential(rawHeaders: readonly string[]): PresentedCredential {
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

const space = 0x20

/** RFC 6750 §2.1; RFC 9110 §11.1: the scheme is case-insensitive. */
function readAuthorization(value: string): PresentedCredential {
  // As nearly everybody writes it.
  if (value.startsWith('Bearer ') && value.charCodeAt(7) !== space) {
    return { found: 'one', bearerToken: value.slice(7) }
  }
  const match = /^bearer +(.*)$/i.exec(value)
  if (match === null) return { found: 'other-scheme' }
  return { found: 'one', bearerToken: match[1] ?? '' }
}
