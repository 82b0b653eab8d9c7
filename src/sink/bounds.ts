import type { Field } from './mailbox.ts'

// What is parsed out of a message is for display: it is cut, so that a hostile message cannot make its description
// larger than itself. The bytes as they arrived stay whole.
const maxLineChars = 998 // the longest line of RFC 5322 §2.1.1
const maxAddresses = 1000 // the vendor's own limit for each of to, cc and bcc
const maxBodyChars = 256 * 1024

/** A subject, a name or an address, cut for display. */
export function clipLine(line: string): string {
  return cut(line, maxLineChars)
}

/** A text or HTML body, cut for display. */
export function clipBody(body: string): string {
  return cut(body, maxBodyChars)
}

/** Each address once, in order. */
export function listAddresses(addresses: Iterable<string>): string[] {
  const listed = new Set<string>()
  for (const address of addresses) {
    if (listed.size === maxAddresses) break
    if (address !== '') listed.add(clipLine(address))
  }
  return [...listed]
}

/** The first value of a header field, whose name has no case. */
export function findField(fields: readonly Field[], name: string): string | null {
  return fields.find(([key]) => key.toLowerCase() === name.toLowerCase())?.[1] ?? null
}

/** A copy, since a slice would keep the whole string in memory. */
function cut(text: string, maxChars: number): string {
  return text.length <= maxChars ? text : Buffer.from(text.slice(0, maxChars)).toString()
}
