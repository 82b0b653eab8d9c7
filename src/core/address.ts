import { normaliseDomain } from './domain.ts'

/** RFC 5321 §4.5.3.1.1 and .3: octets. */
const maxLocalPartBytes = 64
const maxAddressBytes = 254

/** A mailbox, its domain in A-labels. */
export interface Address {
  /** As written, quotes included. */
  readonly localPart: string
  readonly domain: string
}

/** RFC 5322 §3.2.3 atext, with what RFC 6531 §3.3 adds beyond ASCII. */
const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u{80}-\\u{10FFFF}-]+"
/**
 * RFC 5321 §4.1.2 Quoted-string, without the characters at which a careless reader would cut the address in two:
 * `@`, `<` and `>`.
 */
const quotedString =
  '"(?:[\\x20\\x21\\x23-;=?A-\\x5B\\x5D-\\x7E\\u{80}-\\u{10FFFF}]|\\\\[\\x20-;=?A-\\x7E])*"'
const addrSpec = new RegExp(`^(${atom}(?:\\.${atom})*|${quotedString})@([^@]+)$`, 'u')
/** C1 controls, line and paragraph separators, halves of surrogate pairs: nobody's address. */
const unprintable = /[\u{80}-\u{9F}\u{2028}\u{2029}\p{Cs}]/u

/**
 * Reads exactly one plain addr-spec (RFC 5321 §4.1.2 Mailbox): no angle brackets, list, route, comment, address literal
 * or white space around it. Undefined for everything else.
 */
export function parseAddress(text: string): Address | undefined {
  const bytes = Buffer.byteLength(text)
  if (bytes > maxAddressBytes) return undefined
  // In ASCII, which is one byte for each, `addrSpec` knows them all.
  if (bytes > text.length && unprintable.test(text)) return undefined
  const [, localPart, written] = addrSpec.exec(text) ?? []
  if (localPart === undefined || written === undefined) return undefined
  if (Buffer.byteLength(localPart) > maxLocalPartBytes) return undefined
  const domain = normaliseDomain(written)
  return domain === undefined ? undefined : { localPart, domain }
}
