import addressparser from 'nodemailer/lib/addressparser'

/**
 * Who a message that reached the upstream is from, read without any code of the gate: every reading that some program
 * behind it could come to. What one of them finds has to be a domain of the token.
 */

/** The domains of every sender field of a message, in any reading. */
export function messageSenders(message: Buffer): string[] {
  const [header = ''] = message.toString('utf8').split(/\r\n\r\n/)
  const unfolded = header.replace(/\r?\n[ \t]+/g, ' ')
  const values = unfolded.split(/\r\n|\r|\n|\0/).flatMap((line) => {
    const [, value] = /^\s*(?:resent-)?(?:from|sender)\s*:(.*)$/i.exec(line) ?? []
    return value === undefined ? [] : [value]
  })
  return sorted(values.flatMap((value) => [...asNodemailer(value), ...asNaively(value)]))
}

function asNodemailer(value: string): string[] {
  return addressparser(value, { flatten: true }).flatMap(({ address }) => domainsOf(address ?? ''))
}

/** Takes quoted strings and comments out, then what stands in angle brackets, else what has an at sign. */
function asNaively(value: string): string[] {
  const bare = value.replace(/"(?:[^"\\]|\\.)*"(?!@)/g, '').replace(/\([^()]*\)/g, '')
  const inAngles = [...bare.matchAll(/<([^>]*)>/g)].map(([, inside = '']) => inside)
  const words = bare.replace(/<[^>]*>/g, ' ').split(/[\s,;]+/)
  return [...inAngles, ...words].flatMap(domainsOf)
}

/** What comes after any of the at signs of an address. */
function domainsOf(address: string): string[] {
  return address.split('@').slice(1).map(aLabels)
}

/** The domains of every sender of a body for the Email API, in any reading: whichever of two equal keys counts, however written. */
export function bodySenders(body: Buffer, { isBatch }: { isBatch: boolean }): string[] {
  const document = [readMembers(body.toString('utf8'))]
  const bases = isBatch ? under(document, 'base') : []
  const messages = isBatch ? under(document, 'requests').flatMap(items) : document
  const froms = messages.flatMap((message) => {
    const own = under([message], 'from')
    return own.some((from) => from !== null) ? own : under(bases, 'from')
  })
  const emails = under(froms, 'email').map(String)
  const headers = under([...messages, ...bases], 'headers').flatMap((value) =>
    members(value)
      .filter(([key]) => /^\s*(resent-)?(from|sender)\s*$/i.test(key))
      .map(([, field]) => String(field)),
  )
  return sorted([...emails.flatMap(domainsOf), ...headers.flatMap(asNaively)])
}

/** JSON whose objects keep every member, also those of the same name. */
type Members = { readonly object: readonly (readonly [string, unknown])[] }

function members(value: unknown): Members['object'] {
  return typeof value === 'object' && value !== null && 'object' in value
    ? (value as Members).object
    : []
}

function items(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [value]
}

function under(values: readonly unknown[], name: string): unknown[] {
  return values
    .flatMap(members)
    .filter(([key]) => looseKey(key) === name)
    .map(([, value]) => value)
}

/** As the loosest of readers: without case in any sense, and cut at a NUL. */
function looseKey(key: string): string {
  const cut = key.normalize('NFKC').split('\0')[0] ?? ''
  return cut.replace(/[\u0130\u0131]/g, 'i').toLowerCase()
}

/** The body is known to be JSON: the only question is how often a name stands in an object. */
function readMembers(text: string): unknown {
  JSON.parse(text)
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s[\]{},:"]+/g) ?? []
  let at = 0
  function value(): unknown {
    const token = tokens[at++] ?? ''
    if (token === '[') {
      const list: unknown[] = []
      while (tokens[at] !== ']') {
        list.push(value())
        if (tokens[at] === ',') at++
      }
      at++
      return list
    }
    if (token !== '{') return JSON.parse(token)
    const object: [string, unknown][] = []
    while (tokens[at] !== '}') {
      const key = JSON.parse(tokens[at++] ?? '')
      at++
      object.push([key, value()])
      if (tokens[at] === ',') at++
    }
    at++
    return { object }
  }
  return value()
}

/** The domain of MAIL FROM as the relay heard it; empty for the null sender. */
export function envelopeDomains(command: string): string[] {
  const [, path = ''] = /^MAIL FROM:<(.*)>/i.exec(command) ?? []
  return domainsOf(path)
}

/** What is no domain at all stays as it is: nobody owns it. */
function aLabels(domain: string): string {
  const host = /^[\p{L}\p{M}\p{N}.-]+$/u.test(domain)
    ? URL.parse(`http://${domain}`)?.hostname
    : null
  return host ?? domain
}

function sorted(domains: readonly string[]): string[] {
  return [...new Set(domains)].sort()
}
