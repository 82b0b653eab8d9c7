import { toASCII, toUnicode } from 'tr46'

/** RFC 1035 §2.3.4 allows 253 characters of text; each may have been written in several code points before mapping. */
const maxWrittenLength = 1024

/** UTS #46 with every check that it knows; domains that a registry would not delegate are refused. */
const strict = {
  checkBidi: true,
  checkHyphens: true,
  checkJoiners: true,
  transitionalProcessing: false,
  useSTD3ASCIIRules: true,
  verifyDNSLength: true,
} as const

/**
 * What UTS #46 with these checks leaves as it is: letters, digits and single labels' inner hyphens, but for two in the third
 * and fourth place, which begin an A-label. Nearly every name is one, and needs no tables.
 */
const plain = /^(?:(?!..--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.|$))+(?<!\.)$/
const maxPlainLength = 253

/**
 * The one spelling under which a domain is kept and compared: A-labels (RFC 5890 §2.3.2.1), lower case, no trailing dot.
 * Undefined for what is not the name of a mail domain: a single label, an address literal, a name that ends in a number.
 *
 * A spelling that is equal only after compatibility mapping (`ｅxample.com`, a soft hyphen, `example。com`) is refused:
 * the next program on the way may not map it, and would see another domain than the one that was checked.
 */
export function normaliseDomain(name: string): string | undefined {
  // The Kelvin sign is a `k` in lower case, and nothing else beyond ASCII becomes ASCII.
  if (name.length > maxWrittenLength || name.includes('\u212a')) return undefined
  const lowerCase = name.toLowerCase()
  const isPlain = lowerCase.length <= maxPlainLength && plain.test(lowerCase)
  const ascii = isPlain ? lowerCase : toASCII(lowerCase, strict)
  if (ascii === null || !isMailDomain(ascii)) return undefined
  if (lowerCase === ascii) return ascii
  const unicode = toUnicode(ascii, strict)
  if (unicode.error) return undefined
  // Each label by itself: people write the name in their own letters, and the rest as the registry does.
  const labels = ascii.split('.')
  const unicodeLabels = unicode.domain.split('.')
  const writtenLabels = lowerCase.normalize('NFC').split('.')
  const isUnmapped =
    writtenLabels.length === labels.length &&
    writtenLabels.every((label, i) => label === labels[i] || label === unicodeLabels[i])
  return isUnmapped ? ascii : undefined
}

const domainOrLiteral = /^(?:[\w-]+(?:\.[\w-]+)*|\[[\w.:-]+\])$/

/** RFC 5321 §4.1.2 Domain or address-literal, in ASCII; with underscores, as machines have them. */
export function isDomainOrLiteral(text: string): boolean {
  return domainOrLiteral.test(text)
}

function isMailDomain(ascii: string): boolean {
  const dot = ascii.lastIndexOf('.')
  // `1.2.3.4` and `0x7f.1` are addresses to some programs (WHATWG URL, "ends in a number").
  return dot >= 0 && !/^(\d+|0x[0-9a-f]*)$/.test(ascii.slice(dot + 1))
}

/** The same names (A-labels) in the same order. */
export function areSameDomains(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, i) => name === other[i])
}
