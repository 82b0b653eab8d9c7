import { clipBody, clipLine, listAddresses } from './bounds.ts'
import type { Field } from './mailbox.ts'

/** A message as far as it is shown. Good enough to look at, never to decide on. */
export interface ReadMessage {
  readonly headers: readonly Field[]
  readonly headerFrom: string | null
  readonly headerFromAddresses: readonly string[]
  readonly subject: string | null
  readonly text: string | null
  readonly html: string | null
}

/** Bodies come before attachments in practice; what lies behind this is not looked at. */
const maxReadBytes = 2 * 1024 * 1024
const maxDepth = 8
const maxFieldChars = 4000
const maxFields = 1000
const maxParts = 100

/** Reads header fields, subject, header From and the first text and HTML body out of a message (RFC 5322, 2045-2047). */
export function readMessage(raw: Uint8Array): ReadMessage {
  // One character for each byte, so that every part can be decoded by its own charset later.
  const whole = Buffer.from(raw.buffer, raw.byteOffset, Math.min(raw.byteLength, maxReadBytes))
  const entity = splitEntity(whole.toString('latin1'))
  const bodies: Bodies = { text: null, html: null }
  collectBodies(entity, bodies, 0)
  const headers = entity.fields.map(([name, value]): Field => [utf8(name), utf8(value)])
  const headerFrom = lookUp(headers, 'from')
  const subject = lookUp(headers, 'subject')
  return {
    headers,
    headerFrom: headerFrom === null ? null : clipLine(decodeWords(headerFrom)),
    headerFromAddresses: headerFrom === null ? [] : addressesIn(headerFrom),
    subject: subject === null ? null : clipLine(decodeWords(subject)),
    ...bodies,
  }
}

interface Entity {
  readonly fields: readonly Field[]
  readonly body: string
}

interface Bodies {
  text: string | null
  html: string | null
}

function splitEntity(source: string): Entity {
  const blank = /^\r?\n|\r?\n\r?\n/.exec(source)
  const head = blank === null ? source : source.slice(0, blank.index)
  const fields: [string, string][] = []
  for (const line of head.split(/\r?\n/)) {
    const last = fields.at(-1)
    if (/^[ \t]/.test(line) && last !== undefined) {
      last[1] += line // RFC 5322 §2.2.3: unfolding removes only the line break
      continue
    }
    const colon = line.indexOf(':')
    if (fields.length === maxFields) break
    if (colon > 0) fields.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()])
  }
  return { fields, body: blank === null ? '' : source.slice(blank.index + blank[0].length) }
}

function collectBodies({ fields, body }: Entity, found: Bodies, depth: number): void {
  const contentType = lookUp(fields, 'content-type') ?? 'text/plain'
  const type = contentType.split(';')[0]?.trim().toLowerCase() ?? ''
  if (type.startsWith('multipart/')) {
    const boundary = /;\s*boundary\s*=\s*(?:"([^"]+)"|([^\s;]+))/i.exec(contentType)
    const delimiter = boundary?.[1] ?? boundary?.[2]
    if (delimiter === undefined || depth === maxDepth) return
    for (const part of splitParts(body, delimiter)) {
      collectBodies(splitEntity(part), found, depth + 1)
    }
    return
  }
  const kind = type === 'text/html' ? 'html' : type === 'text/plain' ? 'text' : null
  const isAttachment = /^attachment/i.test(lookUp(fields, 'content-disposition') ?? '')
  if (kind === null || isAttachment || found[kind] !== null) return
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType)?.[1] ?? 'utf-8'
  const encoding = lookUp(fields, 'content-transfer-encoding')?.trim().toLowerCase()
  found[kind] = clipBody(decodeCharset(decodeTransfer(body, encoding), charset))
}

/** RFC 2046 §5.1.1: the line break before a delimiter belongs to the delimiter. */
function splitParts(body: string, delimiter: string): string[] {
  const parts: string[] = []
  for (const piece of `\n${body}`.split(`\n--${delimiter}`, maxParts).slice(1)) {
    if (piece.startsWith('--')) break
    const lineEnd = piece.indexOf('\n')
    if (lineEnd >= 0) parts.push(piece.slice(lineEnd + 1).replace(/\r$/, ''))
  }
  return parts
}

function decodeTransfer(body: string, encoding: string | undefined): Buffer {
  if (encoding === 'base64') return Buffer.from(body, 'base64')
  if (encoding !== 'quoted-printable') return Buffer.from(body, 'latin1')
  return decodeQuoted(body.replaceAll(/=[ \t]*\r?\n/g, ''))
}

function decodeQuoted(source: string): Buffer {
  const bytes = source.replaceAll(/=([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return Buffer.from(bytes, 'latin1')
}

/** RFC 2047: encoded words; white space between two of them does not count. */
function decodeWords(value: string): string {
  return value
    .replaceAll(/(=\?[^?\s]+\?[bq]\?[^?\s]*\?=)\s+(?==\?)/gi, '$1')
    .replaceAll(
      /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=/gi,
      (_, charset: string, encoding: string, data: string) => {
        const bytes =
          encoding.toLowerCase() === 'b'
            ? Buffer.from(data, 'base64')
            : decodeQuoted(data.replaceAll('_', ' '))
        return decodeCharset(bytes, charset.split('*')[0] ?? charset)
      },
    )
}

function decodeCharset(bytes: Buffer, charset: string): string {
  try {
    return new TextDecoder(charset).decode(bytes)
  } catch {
    return bytes.toString('utf8') // an unknown charset
  }
}

function addressesIn(headerFrom: string): string[] {
  return listAddresses(headerFrom.match(/[^\s<>,;:"()]+@[^\s<>,;:"()]+/g) ?? [])
}

function lookUp(fields: readonly Field[], name: string): string | null {
  const value = fields.find(([key]) => key.toLowerCase() === name)?.[1]
  return value === undefined ? null : value.slice(0, maxFieldChars)
}

function utf8(latin1: string): string {
  return Buffer.from(latin1, 'latin1').toString('utf8')
}
