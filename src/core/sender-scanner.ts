import {
  createJsonMachine,
  JsonProblem,
  type JsonText,
  type JsonVisitor,
  keysByLength,
} from './json-machine.ts'

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
  /** False once no rest could make the body acceptable: it need not be read any further. */
  write(chunk: Uint8Array): boolean
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
  readonly around: Frame | undefined
  /** The bits of the keys that were seen, of those that matter. */
  seen: number
}

/** What is known of one message's sender: absent until its `from` is there. */
interface Sender {
  from: 'absent' | 'incomplete' | 'complete'
  email: string
}

/** What is known of a body so far. */
interface Scan {
  readonly kind: SendKind
  readonly problems: BodyProblem[]
  /** The innermost object or array that is open. */
  frame: Frame | undefined
  readonly base: Sender
  readonly message: Sender
  readonly requests: Sender[]
  /** The request that is being read; the sender that the current place is about. */
  item: number | undefined
  sender: Sender
  nextRole: Role
  refused: boolean
}

function createScan(kind: SendKind): Scan {
  const base: Sender = { from: 'absent', email: '' }
  const message: Sender = { from: 'absent', email: '' }
  const isSend = kind === 'send'
  return {
    kind,
    problems: [],
    frame: undefined,
    base,
    message,
    requests: [],
    item: undefined,
    sender: isSend ? message : base,
    nextRole: isSend ? 'message' : 'batch',
    refused: false,
  }
}

/**
 * Reads the body in one pass, in bounded memory. It refuses what two readers could take for different senders: keys that
 * are there twice, or in another case, on the way to a sender (some JSON libraries match keys without regard to case).
 */
export function createSenderScanner(kind: SendKind): SenderScanner {
  const scan = createScan(kind)
  const machine = createJsonMachine(visitor, scan)
  return {
    // No accessor: V8 gives each object that has one a shape of its own, which keeps what it belongs to alive.
    write(chunk) {
      try {
        if (!scan.refused) machine.write(chunk)
      } catch (error) {
        endWith(scan, error)
      }
      return !scan.refused
    },
    end() {
      try {
        if (!scan.refused) machine.end()
      } catch (error) {
        endWith(scan, error)
      }
      return scan.refused ? refusal(scan.problems) : conclude(scan)
    },
  }
}

/** A problem of one item alone lets the rest be read; this one does not. */
function endWith(s: Scan, error: unknown) {
  if (!(error instanceof JsonProblem)) throw error
  s.refused = true
  s.problems.push({ text: error.message })
}

function refusal(problems: readonly BodyProblem[]): SenderScan {
  return { ok: false, problems: problems.toSorted(byItem) }
}

/** What is wrong with one item leaves the others to be read; everything else ends the scan. */
function refuse({ item, problems }: Scan, text: string) {
  if (item === undefined) throw new JsonProblem(text)
  // One problem for each is enough.
  if (problems.at(-1)?.item !== item) problems.push({ item, text })
}

/** Called as any value begins: what is it for, and may it be of this type? */
function take(s: Scan, type: ValueType): Role {
  const role = s.nextRole
  const around = s.frame?.role
  if (around === 'requests') beginRequest(s)
  switch (role) {
    case 'message':
      if (type === 'object' || (around === 'batch' && type === 'null')) break
      refuse(s, around === undefined ? 'The body is not an object' : 'It must be an object')
      break
    case 'batch':
      if (type !== 'object') refuse(s, 'The body is not an object')
      break
    case 'requests':
      if (type === 'null') refuse(s, emptyRequests)
      if (type !== 'array') refuse(s, "'requests' must be an array")
      break
    case 'from':
      if (type !== 'null') s.sender.from = 'incomplete'
      if (type !== 'null' && type !== 'object') refuse(s, invalidFrom)
      break
    case 'from-email':
      if (type !== 'null' && type !== 'string') refuse(s, invalidFrom)
      break
    case 'headers':
      if (type !== 'null' && type !== 'object') refuse(s, "'headers' must be an object")
      break
    case 'header':
      if (type === 'object' || type === 'array') refuse(s, "'headers' must hold text")
      break
    case 'lines':
    case 'attachments':
    case 'anything':
      break
  }
  return role
}

function beginRequest(s: Scan) {
  if (s.requests.length === maxRequests) {
    s.item = undefined
    refuse(s, `'requests' has more than ${maxRequests} items`)
  }
  s.item = s.requests.length
  s.sender = { from: 'absent', email: '' }
  s.requests.push(s.sender)
}

/** In an array the next value is for the same; in an object its key will say. */
function endValue(s: Scan) {
  s.nextRole = roleOfItem(s.frame?.role ?? 'anything')
}

/** What the value of this key is for. */
function readKey(s: Scan, role: Role, text: JsonText): Role {
  if (text.hasLineBreak && role !== 'anything') refuse(s, lineBreak)
  switch (role) {
    case 'message':
      return readWatchedKey(s, messageKeys, text)
    case 'batch':
      return readWatchedKey(s, batchKeys, text)
    case 'from':
      return readWatchedKey(s, fromKeys, text)
    case 'headers':
      readHeaderName(s, text)
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

function readWatchedKey(s: Scan, keys: Keys, { value }: JsonText): Role {
  const watched = value === undefined ? undefined : keys.get(value)
  if (watched === undefined) {
    checkOtherKey(s, keys, value)
    return 'anything'
  }
  const { frame } = s
  if (frame !== undefined) {
    if ((frame.seen & watched.bit) !== 0) refuse(s, `The key '${value}' is there twice`)
    frame.seen |= watched.bit
  }
  return watched.role
}

/** A key that does not matter, unless another reader takes it for one that does. */
function checkOtherKey(s: Scan, keys: Keys, key: string | undefined) {
  if (key === undefined || !key.isWellFormed() || key === '__proto__') {
    const shown = key === undefined ? 'that long' : JSON.stringify(key)
    refuse(s, `A key ${shown} is not allowed here`)
    return
  }
  const folded = foldCase(key)
  if (folded !== key && keys.has(folded)) {
    refuse(s, `The key ${JSON.stringify(key)} must be written '${folded}'`)
  }
}

function readHeaderName(s: Scan, { value }: JsonText) {
  if (value === undefined || !headerName.test(value) || value === '__proto__') {
    refuse(s, "'headers' has a name that is not the name of a header field")
  } else if (senderFields.has(value.toLowerCase())) {
    refuse(s, `'headers' must not set ${JSON.stringify(value)}: the sender is 'from'`)
  }
}

function conclude({ kind, message, base, requests, problems }: Scan): SenderScan {
  const isBatch = kind === 'batch'
  if (isBatch && requests.length === 0) return { ok: false, problems: [{ text: emptyRequests }] }
  const effective = isBatch
    ? requests.map((request) => (request.from === 'absent' ? base : request))
    : [message]
  effective.forEach(({ from }, index) => {
    if (from === 'complete' || problems.some(({ item }) => item === index)) return
    problems.push({ ...(isBatch && { item: index }), text: "'from' is required" })
  })
  if (problems.length > 0) return refusal(problems)
  const senders = effective.map(({ email }) => email)
  return base.from === 'complete' ? { ok: true, senders, base: base.email } : { ok: true, senders }
}

const visitor: JsonVisitor<Scan> = {
  commonKeys: keysByLength([
    ...messageKeys.keys(),
    ...batchKeys.keys(),
    ...fromKeys.keys(),
    'text',
    'html',
  ]),

  open(s, container) {
    const role = take(s, container)
    s.frame = { role, around: s.frame, seen: 0 }
    s.nextRole = roleOfItem(role)
  },

  close(s) {
    const closed = s.frame
    s.frame = closed?.around
    if (closed?.role === 'requests') {
      s.item = undefined
      s.sender = s.base
    }
    endValue(s)
  },

  keep(s, isKey) {
    if (!isKey) return s.nextRole === 'from-email' ? maxEmailBytes : 0
    const role = s.frame?.role
    return role === 'anything' || role === 'lines' ? 0 : maxKeyBytes
  },

  key(s, text) {
    s.nextRole = readKey(s, s.frame?.role ?? 'anything', text)
  },

  string(s, text) {
    const role = take(s, 'string')
    if (text.hasLineBreak && role !== 'anything') refuse(s, lineBreak)
    if (role === 'from-email') {
      if (text.value === undefined) refuse(s, invalidFrom)
      s.sender.from = 'complete'
      s.sender.email = text.value ?? ''
    }
    endValue(s)
  },

  scalar(s, isNull) {
    take(s, isNull ? 'null' : 'scalar')
    endValue(s)
  },
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
