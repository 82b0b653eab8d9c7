import { parseHeader } from '@haraka/email-address'
import { parseAddress } from './address.ts'
import type { HeaderField, MessageHeader } from './message-header.ts'

export type SenderProblem =
  | 'no-from'
  | 'several-from'
  | 'several-sender'
  | 'unreadable-from'
  | 'unreadable-sender'
  | 'too-many-senders'

export type HeaderSenders =
  /** The domains (A-labels) of every mailbox that the message says it is from; none twice. */
  | { readonly ok: true; readonly domains: readonly string[] }
  | { readonly ok: false; readonly problem: SenderProblem }

/** Of all fields that name a sender. Far above what mail has; the grammar takes the square of the length to read. */
const maxSenderBytes = 16 * 1024
/** Mailboxes in all of them. Each domain is a look-up, and a paper of a hundred authors is the most that anybody signs. */
export const maxSenders = 100

/**
 * Who a message says it is from (RFC 5322 §3.6.2): every mailbox of its one From field, of Sender, and of the Resent
 * fields that mean the same (§3.6.6).
 */
export function headerSenders({ section, fields }: MessageHeader): HeaderSenders {
  const froms: HeaderField[] = []
  const senders: HeaderField[] = []
  const resentFroms: HeaderField[] = []
  const resentSenders: HeaderField[] = []
  for (const field of fields) {
    if (field.name === 'from') froms.push(field)
    else if (field.name === 'sender') senders.push(field)
    else if (field.name === 'resent-from') resentFroms.push(field)
    else if (field.name === 'resent-sender') resentSenders.push(field)
  }
  if (froms.length === 0) return { ok: false, problem: 'no-from' }
  if (froms.length > 1) return { ok: false, problem: 'several-from' }
  if (senders.length > 1) return { ok: false, problem: 'several-sender' }

  const authors = froms.concat(resentFroms)
  senders.push(...resentSenders)
  const size = [...authors, ...senders].reduce((sum, { begin, end }) => sum + end - begin, 0)
  if (size > maxSenderBytes) return { ok: false, problem: 'unreadable-from' }

  const domains: string[] = []
  for (const field of authors) {
    const found = mailboxDomains(section, field)
    if (found === undefined) return { ok: false, problem: 'unreadable-from' }
    domains.push(...found)
  }
  for (const field of senders) {
    const found = mailboxDomains(section, field)
    if (found?.length !== 1) return { ok: false, problem: 'unreadable-sender' }
    domains.push(...found)
  }
  if (domains.length > maxSenders) return { ok: false, problem: 'too-many-senders' }
  return { ok: true, domains: [...new Set(domains)] }
}

/** Many a script writes the address in place of the name too, without quotes: the same twice is not two. */
const addressAsName = /(^|,)[ \t]*([^\s,<>"()@]+@[^\s,<>"()@]+)[ \t]*<\2>/g

/** Whoever sends much sends as the same few: to read a field costs more than to find it here. */
const known = new Map<string, readonly string[] | undefined>()
const maxKnown = 1_000
const maxKnownBytes = 256

function mailboxDomains(section: Buffer, field: HeaderField): readonly string[] | undefined {
  const { begin, end } = field
  if (end - begin > maxKnownBytes) return readMailboxDomains(section, field)
  const bytes = section.toString('latin1', begin, end)
  if (known.has(bytes)) return known.get(bytes)
  const domains = readMailboxDomains(section, field)
  if (known.size >= maxKnown) known.clear()
  known.set(bytes, domains)
  return domains
}

/** Two readings of the field, one strict and one by a parser of the full grammar, that have to agree on every mailbox. */
function readMailboxDomains(section: Buffer, field: HeaderField): string[] | undefined {
  const written = unfold(section, field)
  if (written === undefined || hasDeceivingWord(written)) return undefined
  const text = written.replace(addressAsName, '$1 <$2>')
  const mailboxes = readStrictly(text)
  const parsed = readByGrammar(text)
  if (mailboxes === undefined || parsed === undefined) return undefined
  const agree =
    mailboxes.length === parsed.length &&
    mailboxes.every(({ localPart, domain }, i) => `${localPart}@${domain}` === parsed[i])
  return agree ? mailboxes.map(({ domain }) => domain) : undefined
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The field's value in one line, or undefined for bytes that are not UTF-8 or hold a control character. */
function unfold(section: Buffer, { name, begin, end }: HeaderField): string | undefined {
  let text: string
  try {
    text = utf8.decode(section.subarray(begin + name.length + 1, end))
  } catch {
    return undefined
  }
  const line = text.replace(/\r\n(?=[ \t])/g, '').replace(/\r\n$/, '')
  return /[^\P{Cc}\t]/u.test(line) ? undefined : line
}

/** An encoded word (RFC 2047 §2) that turns into an angle bracket or a control character where it is shown. */
function hasDeceivingWord(text: string): boolean {
  const words = text.matchAll(/=\?([^?]*)\?([bq])\?([^?]*)\?=/gi)
  return [...words].some(([, charset = '', encoding = '', content = '']) => {
    const bytes =
      encoding.toLowerCase() === 'b'
        ? Buffer.from(content, 'base64').toString('latin1')
        : content.replace(/=([0-9a-f]{2})/gi, (_, hex) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          )
    return /[\p{Cc}<>]/u.test(shown(bytes, charset).replace(/[\x80-\x9f]/g, ''))
  })
}

const japanese = new TextDecoder('iso-2022-jp')

/** Charsets in use leave ASCII as it is, save ISO-2022-JP (RFC 1468), which also makes other characters of the same bytes. */
function shown(bytes: string, charset: string): string {
  const isJapanese = charset.toLowerCase().startsWith('iso-2022-jp')
  return isJapanese ? japanese.decode(Buffer.from(bytes, 'latin1')) : bytes
}

/**
 * Quoted strings and comments without what makes readers disagree about where they end. One that is never closed is found
 * too, so that it is read once and not from each of its quotes again.
 */
const quotedOrComment = /"(?:[^"\\<>]|\\[^<>])*("?)|\([^()"\\<>@]*\)/g

/**
 * One or more mailboxes, each `addr-spec` or `phrase <addr-spec>`, with commas between. No group, route, address literal,
 * empty element or nested comment; no `@` or angle bracket but those of the addresses, save an `@` in a quoted name.
 */
function readStrictly(text: string) {
  // Same length, so that a place in one is the same place in the other.
  const masked = text.replace(quotedOrComment, (hidden, closed?: string) =>
    closed === '' ? hidden : (hidden.startsWith('"') ? '_' : ' ').repeat(hidden.length),
  )
  if (/["()\\:;]/.test(masked)) return undefined
  const mailboxes = []
  let begin = 0
  for (const part of masked.split(',')) {
    const [, before = '', inAngles, alone = ''] =
      /^([^<>@]*)<([^<>]*)>\s*$/.exec(part) ?? /^(\s*)()([^<>\s]+)\s*$/.exec(part) ?? []
    if (inAngles === undefined) return undefined
    const at = begin + before.length + (alone === '' ? 1 : 0)
    const written = text.slice(at, at + (alone === '' ? inAngles : alone).length)
    // An encoded word is no part of an address (RFC 2047 §5).
    const mailbox = /=\?.*\?=/.test(written) ? undefined : parseAddress(written)
    if (mailbox === undefined) return undefined
    mailboxes.push(mailbox)
    begin += part.length + 1
  }
  return mailboxes
}

/** `local@domain` of each mailbox, the domain in A-labels; undefined when the grammar has no such field. */
function readByGrammar(text: string): string[] | undefined {
  try {
    const addresses = parseHeader(text, { startAt: 'from', allowAtInDisplayName: false })
    return addresses.map((address) => ('host' in address ? `${address.user}@${address.host}` : ''))
  } catch {
    return undefined
  }
}
