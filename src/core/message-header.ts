/** One header field as it stands in the message. */
export interface HeaderField {
  /** Lower case. */
  readonly name: string
  /** Where the whole field lies in the section, folds and its last CRLF included. */
  readonly begin: number
  readonly end: number
}

export interface MessageHeader {
  /** The bytes of all fields as they came, without the empty line behind them. */
  readonly section: Buffer
  readonly fields: readonly HeaderField[]
}

export type HeaderProblem = 'header-too-large' | 'malformed-header'

export type HeaderRead =
  | { readonly state: 'more' }
  /** `rest`: what has arrived after the header section, beginning with its empty line. */
  | { readonly state: 'done'; readonly header: MessageHeader; readonly rest: Buffer }
  | { readonly state: 'refused'; readonly problem: HeaderProblem }

/** Takes the header section off a message that arrives in pieces. */
export interface HeaderReader {
  /** Not to be called again once it is done, or refused. */
  write(chunk: Buffer): HeaderRead
  /** The message ended: without an empty line it is all header (RFC 5322 §2.1, the body is optional). */
  end(): HeaderRead
}

/** Far above what mail has, far below what hurts. */
const defaultMaxHeaderBytes = 256 * 1024

const minHeldBytes = 4096

const cr = 0x0d
const lf = 0x0a
const endOfHeader = Buffer.from('\r\n\r\n')
const nothing: Buffer = Buffer.alloc(0)

/** Expects bytes whose line ends were checked: `createLineEndingGuard`. */
export function createHeaderReader(maxHeaderBytes = defaultMaxHeaderBytes): HeaderReader {
  let held = nothing
  let length = 0

  /** Grows by doubling, so that a message of one byte at a time costs no more than any other. */
  function hold(chunk: Buffer): Buffer {
    // Nearly every header comes in one piece, and needs no copy. That piece is full: nothing is ever written into it.
    if (length === 0) held = chunk
    else {
      if (length + chunk.length > held.length) {
        const larger = Buffer.alloc(Math.max(minHeldBytes, held.length * 2, length + chunk.length))
        held.copy(larger, 0, 0, length)
        held = larger
      }
      chunk.copy(held, length)
    }
    length += chunk.length
    return length === held.length ? held : held.subarray(0, length)
  }

  function split(section: Buffer, rest: Buffer): HeaderRead {
    if (section.length > maxHeaderBytes) return tooLarge
    const fields = splitFields(section)
    return fields === undefined ? malformed : { state: 'done', header: { section, fields }, rest }
  }

  return {
    write(chunk) {
      // An end that is cut in two lies at most three bytes before this piece.
      const searchFrom = Math.max(0, length - 3)
      const all = hold(chunk)
      if (all[0] === cr && all[1] === lf) return split(all.subarray(0, 0), all)
      const end = all.indexOf(endOfHeader, searchFrom)
      if (end >= 0) return split(all.subarray(0, end + 2), all.subarray(end + 2))
      return length > maxHeaderBytes ? tooLarge : { state: 'more' }
    },

    end() {
      const all = held.subarray(0, length)
      if (length > 0 && !(all[length - 2] === cr && all[length - 1] === lf)) return malformed
      return split(all, all.subarray(length))
    },
  }
}

const tooLarge = { state: 'refused', problem: 'header-too-large' } as const
const malformed = { state: 'refused', problem: 'malformed-header' } as const

/**
 * RFC 5322 §2.2: a name of printable ASCII right before the colon. The obsolete form with a space there (§4.5) is
 * refused, and so is a line of white space alone (§3.2.2): servers disagree on what they are.
 */
const fieldStart = /[!-9;-~]+:/y
const blankLine = /[ \t]*\r\n/y

function splitFields(section: Buffer): HeaderField[] | undefined {
  const text = section.toString('latin1')
  const isAt = (pattern: RegExp, at: number) => {
    pattern.lastIndex = at
    return pattern.test(text)
  }
  const fields: HeaderField[] = []
  let begin = 0
  let name: string | undefined
  for (let at = 0; at < text.length; at = text.indexOf('\r\n', at) + 2) {
    if (text[at] === ' ' || text[at] === '\t') {
      // Without a name there is no field yet that it could continue.
      if (name === undefined || isAt(blankLine, at)) return undefined
      continue
    }
    if (name !== undefined) fields.push({ name, begin, end: at })
    if (!isAt(fieldStart, at)) return undefined
    // The match ends behind the colon.
    name = text.slice(at, fieldStart.lastIndex - 1).toLowerCase()
    begin = at
  }
  if (name !== undefined) fields.push({ name, begin, end: text.length })
  return fields
}
