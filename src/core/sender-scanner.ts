import { createJsonMachine, JsonProblem, type JsonText, type JsonVisitor } from './json-machine.ts'

/** One message, or `{ base, requests }`: the two bodies that the Email API knows. */
export type SendKind = 'send' | 'batch'

export interface BodyProblem {
  /** The index in `requests` that it is about, in a batch. */
  readonly item?: number
  readonly text: string
}

export type SenderScan =
  /**
   * `from.email` of the message, or of each request in its order, as written. `base` is that of a batch's `base`, also where
   * no request needs it: a reader that overlooks a request's own `from` falls back to it.
   */
  | { readonly ok: true; readonly senders: readonly string[]; readonly base?: string }
  | { readonly ok: false; readonly problems: readonly BodyProblem[] }

/** Finds out who a body claims to be from, while it arrives. */
export interface SenderScanner {
  write(chunk: Uint8Array): void
  /** True once no rest could make the body acceptable: it need not be read any further. */
  readonly refused: boolean
  end(): SenderScan
}

/** The vendor's limit. */
const maxRequests = 500
/** As written in JSON; an address has at most 254 octets, each of which six characters can spell. */
const maxEmailBytes = 1536
/** Long enough for every key that matters and for any header name; others are not kept. */
const maxKeyBytes = 512

/** RFC 5322 §3.6.8 ftext: printable ASCII without the colon. */
const headerName = /^[!-9;-~]+$/
/** Fields that say who a message is from; the API has `from` for that. */
const senderFields = new Set(['from', 'sender', 'resent-from', 'resent-sender'])

/** What the value at some place is for. */
type Role =
  /** The whole body, or one of `requests`, or `base`. */
  | 'message'
  | 'batch'
  | 'requests'
  | 'from'
  | 'from-email'
  | 'headers'
  /** The value of a custom header: one line of text. */
  | 'header'
  /** Strings in it, however deep, become lines of a header, and may hold no CR, LF or NUL. */
  | 'lines'
  /** The same, except for `content`. */
  | 'attachments'
  | 'anything'

/** What the values of the keys that matter are for, with a bit of its own for each key. */
type Keys = ReadonlyMap<string, { readonly role: Role; readonly bit: number }>
type ValueType = 'object' | 'array' | 'string' | 'null' | 'scalar'

const messageKeys = keys({
  from: 'from',
  to: 'lines',
  cc: 'lines',
  bcc: 'lines',
  reply_to: 'lines',
  subject: 'lines',
  category: 'lines',
  headers: 'headers',
  attachments: 'attachments',
})
const batchKeys = keys({ base: 'message', requests: 'requests' })
const fromKeys = keys({ email: 'from-email', name: 'lines' })

const invalidFrom = "'from' address is invalid"
const emptyRequests = "empty field: 'requests'"
const lineBreak = 'A line break or NUL is not allowed in an address, a name, a subject or a header'

/** An open object or array. */
interface Frame {
  readonly role: Role
  /** The bits of the keys that were seen, of those that matter. */
  seen: number
}

/** What is known of one message's sender: absent until its `from` is there. */
interface Sender {
  from: 'absent' | 'incomplete' | 'complete'
  email: string
}

/**
 * Reads the body in one pass, in bounded memory. It refuses what two readers could take for different senders: keys that
 * are there twice, or in another case, on the way to a sender (some JSON libraries match keys without regard to case).
 */
export function createSenderScanner(kind: SendKind): SenderScanner {
  const problems: BodyProblem[] = []
  const frames: Frame[] = []
  const base: Sender = { from: 'absent', email: '' }
  const message: Sender = { from: 'absent', email: '' }
  const requests: Sender[] = []
  /** Items that already have a problem: one each is enough. */
  const refusedItems = new Set<number>()
  /** The request that is being read; the sender that the current place is about. */
  let item: number | undefined
  let sender: Sender = kind === 'send' ? message : base
  let nextRole: Role = kind === 'send' ? 'message' : 'batch'
  let refused = false

  /** What is wrong with one item leaves the others to be read; everything else ends the scan. */
  function refuse(text: string) {
    if (item === undefined) throw new JsonProblem(text)
    if (refusedItems.has(item)) return
    refusedItems.add(item)
    problems.push({ item, text })
  }

  /** Called as any value begins: what is it for, and may it be of this type? */
  function take(type: ValueType): Role {
    const role = nextRole
    const around = frames.at(-1)?.role
    if (around === 'requests') beginRequest()
    switch (role) {
      case 'message':
        if (type === 'object' || (around === 'batch' && type === 'null')) break
        refuse(around === undefined ? 'The body is not an object' : 'It must be an object')
        break
      case 'batch':
        if (type !== 'object') refuse('The body is not an object')
        break
      case 'requests':
        if (type === 'null') refuse(emptyRequests)
        if (type !== 'array') refuse("'requests' must be an array")
        break
      case 'from':
        if (type !== 'null') sender.from = 'incomplete'
        if (type !== 'null' && type !== 'object') refuse(invalidFrom)
        break
      case 'from-email':
        if (type !== 'null' && type !== 'string') refuse(invalidFrom)
        break
      case 'headers':
        if (type !== 'null' && type !== 'object') refuse("'headers' must be an object")
        break
      case 'header':
        if (type === 'object' || type === 'array') refuse("'headers' must hold text")
        break
      case 'lines':
      case 'attachments':
      case 'anything':
        break
    }
    return role
  }

  function beginRequest() {
    if (requests.length === maxRequests) {
      item = undefined
      refuse(`'requests' has more than ${maxRequests} items`)
    }
    item = requests.length
    sender = { from: 'absent', email: '' }
    requests.push(sender)
  }

  const visitor: JsonVisitor = {
    open(container) {
      const role = take(container)
      frames.push({ role, seen: 0 })
      nextRole = roleOfItem(role)
    },

    close() {
      const closed = frames.pop()
      if (closed?.role === 'requests') {
        item = undefined
        sender = base
      }
      endValue()
    },

    keep(isKey) {
      if (!isKey) return nextRole === 'from-email' ? maxEmailBytes : 0
      const role = frames.at(-1)?.role
      return role === 'anything' || role === 'lines' ? 0 : maxKeyBytes
    },

    key(text) {
      nextRole = readKey(frames.at(-1)?.role ?? 'anything', text)
    },

    string(text) {
      const role = take('string')
      if (text.hasLineBreak && role !== 'anything') refuse(lineBreak)
      if (role === 'from-email') {
        if (text.value === undefined) refuse(invalidFrom)
        sender.from = 'complete'
        sender.email = text.value ?? ''
      }
      endValue()
    },

    scalar(isNull) {
      take(isNull ? 'null' : 'scalar')
      endValue()
    },
  }

  /** In an array the next value is for the same; in an object its key will say. */
  function endValue() {
    nextRole = roleOfItem(frames.at(-1)?.role ?? 'anything')
  }

  /** What the value of this key is for. */
  function readKey(role: Role, text: JsonText): Role {
    if (text.hasLineBreak && role !== 'anything') refuse(lineBreak)
    switch (role) {
      case 'message':
        return readWatchedKey(messageKeys, text)
      case 'batch':
        return readWatchedKey(batchKeys, text)
      case 'from':
        return readWatchedKey(fromKeys, text)
      case 'headers':
        readHeaderName(text)
        return 'header'
      case 'attachments':
        return text.value === 'content' ? 'anything' : 'attachments'
      case 'requests':
      case 'from-email':
      case 'header':
      case 'lines':
      case 'anything':
        return role
    }
  }

  function readWatchedKey(keys: Keys, { value }: JsonText): Role {
    if (value === undefined || !value.isWellFormed() || value === '__proto__') {
      refuse(
        `A key ${value === undefined ? 'that long' : JSON.stringify(value)} is not allowed here`,
      )
      return 'anything'
    }
    const folded = foldCase(value)
    const watched = keys.get(folded)
    if (watched === undefined) return 'anything'
    if (folded !== value) refuse(`The key ${JSON.stringify(value)} must be written '${folded}'`)
    const frame = frames.at(-1)
    if (frame !== undefined) {
      if ((frame.seen & watched.bit) !== 0) refuse(`The key '${folded}' is there twice`)
      frame.seen |= watched.bit
    }
    return watched.role
  }

  function readHeaderName({ value }: JsonText) {
    if (value === undefined || !headerName.test(value) || value === '__proto__') {
      refuse("'headers' has a name that is not the name of a header field")
    } else if (senderFields.has(value.toLowerCase())) {
      refuse(`'headers' must not set ${JSON.stringify(value)}: the sender is 'from'`)
    }
  }

  function conclude(): SenderScan {
    if (kind === 'send') return concludeSenders([message])
    if (requests.length === 0) return { ok: false, problems: [{ text: emptyRequests }] }
    const effective = requests.map((request) => (request.from === 'absent' ? base : request))
    return concludeSenders(effective)
  }

  function concludeSenders(effective: readonly Sender[]): SenderScan {
    effective.forEach(({ from }, index) => {
      if (from === 'complete' || refusedItems.has(index)) return
      problems.push({ ...(kind === 'batch' && { item: index }), text: "'from' is required" })
    })
    if (problems.length > 0) return { ok: false, problems: problems.toSorted(byItem) }
    const senders = effective.map(({ email }) => email)
    return { ok: true, senders, ...(base.from === 'complete' && { base: base.email }) }
  }

  const machine = createJsonMachine(visitor)

  /** Reads on, or notes why not: a problem of one item alone lets the rest be read. */
  function attempt(read: () => void) {
    if (refused) return
    try {
      read()
    } catch (error) {
      if (!(error instanceof JsonProblem)) throw error
      refused = true
      problems.push({ text: error.message })
    }
  }

  return {
    write(chunk) {
      attempt(() => machine.write(chunk))
    },
    get refused() {
      return refused
    },
    end() {
      attempt(() => machine.end())
      return refused ? { ok: false, problems: problems.toSorted(byItem) } : conclude()
    },
  }
}

/** What a value in the container is for, where no key says so. */
function roleOfItem(container: Role): Role {
  switch (container) {
    case 'requests':
      return 'message'
    case 'from':
    case 'from-email':
    case 'headers':
    case 'header':
      return 'lines'
    default:
      return container
  }
}

function keys(roles: Readonly<Record<string, Role>>): Keys {
  return new Map(Object.entries(roles).map(([key, role], i) => [key, { role, bit: 1 << i }]))
}

/**
 * As JSON libraries do that match keys without regard to case: ASCII, and the letters that one or another of them folds into
 * it (Go: U+017F, U+212A; Java's `equalsIgnoreCase`: U+0130 and U+0131 as well).
 */
function foldCase(key: string): string {
  if (!/[^\x00-@[-\x7f]/.test(key)) return key
  return key
    .replaceAll('\u017f', 's')
    .replaceAll('\u212a', 'k')
    .replace(/[\u0130\u0131]/g, 'i')
    .toLowerCase()
}

function byItem(a: BodyProblem, b: BodyProblem): number {
  return (a.item ?? -1) - (b.item ?? -1)
}
