/** One header field as it arrived: name, value. */
export type Field = readonly [name: string, value: string]

interface KeptBase {
  readonly id: string
  /** Milliseconds since the Unix epoch. */
  readonly receivedAt: number
  /** Every address that it claims to be from: envelope and header over SMTP, each effective `from` over HTTP. */
  readonly senders: readonly string[]
  readonly recipients: readonly string[]
  /** The header From, or the JSON `from`, in its display form. */
  readonly headerFrom: string | null
  readonly subject: string | null
  readonly text: string | null
  readonly html: string | null
  /** Fields of the request over HTTP, of the message over SMTP. */
  readonly headers: readonly Field[]
  /** From the gate's `Postern-Token-Id` and `Postern-Account-Id`; not verified here. */
  readonly tokenId: string | null
  readonly accountId: string | null
  /** The request body or the message, byte for byte. */
  readonly raw: Uint8Array<ArrayBuffer>
  /** Bytes that arrived, also when `raw` was cut. */
  readonly size: number
  readonly truncated: boolean
}

export interface HttpMessage extends KeptBase {
  readonly protocol: 'http'
  readonly method: string
  /** The request target, query included. */
  readonly path: string
  /** The status that the sink answered with. Refused requests are kept too. */
  readonly status: number
}

export interface EnvelopeAddress {
  readonly address: string
  /** ESMTP parameters, names in upper case; `true` for one without a value. */
  readonly parameters: Readonly<Record<string, string | true>>
}

export interface SmtpMessage extends KeptBase {
  readonly protocol: 'smtp'
  /** `address` is empty for the null sender. */
  readonly mailFrom: EnvelopeAddress
  readonly rcptTo: readonly EnvelopeAddress[]
  /** What the client called itself in EHLO or HELO. */
  readonly helo: string
  /** The name given with AUTH, if any; the password is not kept. */
  readonly username: string | null
  readonly secure: boolean
}

export type KeptMessage = HttpMessage | SmtpMessage

export interface MailboxLimits {
  readonly maxMessages: number
  /** Bytes of content over all kept messages. */
  readonly maxBytes: number
}

export interface Mailbox {
  /** Newest first. */
  list(): readonly KeptMessage[]
  get(id: string): KeptMessage | undefined
  /** Forgets everything and says how much that was. */
  clear(): number
  /** A number that changes with the content. */
  revision(): number
  /**
   * The newest message that matches, at once if it is here, else as soon as it arrives. Rejects after `timeoutMs`.
   */
  waitFor(predicate: (message: KeptMessage) => boolean, timeoutMs: number): Promise<KeptMessage>
}

export interface WritableMailbox extends Mailbox {
  add(message: KeptMessage): void
}

/** Keeps the newest messages within both limits: the oldest go first, and the newest always stays. */
export function createMailbox({ maxMessages, maxBytes }: MailboxLimits): WritableMailbox {
  const kept: KeptMessage[] = [] // oldest first
  const waiting = new Set<(message: KeptMessage) => void>()
  let keptBytes = 0
  let revision = 0

  function add(arrived: KeptMessage): void {
    const message = contentBytes(arrived) > maxBytes ? truncate(arrived, maxBytes) : arrived
    kept.push(message)
    keptBytes += contentBytes(message)
    while (kept.length > 1 && (kept.length > maxMessages || keptBytes > maxBytes)) {
      const dropped = kept.shift()
      if (dropped !== undefined) keptBytes -= contentBytes(dropped)
    }
    revision += 1
    for (const notify of [...waiting]) notify(message)
  }

  function clear(): number {
    const count = kept.splice(0).length
    keptBytes = 0
    revision += 1
    return count
  }

  function waitFor(
    predicate: (message: KeptMessage) => boolean,
    timeoutMs: number,
  ): Promise<KeptMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<KeptMessage>()
    const present = kept.findLast(predicate)
    if (present !== undefined) {
      resolve(present)
      return promise
    }
    const timer = setTimeout(() => {
      waiting.delete(notify)
      reject(
        new Error(`no such message within ${timeoutMs} ms; the sink has ${kept.length} others`),
      )
    }, timeoutMs)
    function notify(message: KeptMessage): void {
      try {
        if (!predicate(message)) return
        resolve(message)
      } catch (fault) {
        // A predicate that throws is its caller's affair, not that of the client whose message this is.
        reject(fault)
      }
      clearTimeout(timer)
      waiting.delete(notify)
    }
    waiting.add(notify)
    return promise
  }

  return {
    add,
    clear,
    waitFor,
    list: () => kept.toReversed(),
    get: (id) => kept.find((message) => message.id === id),
    revision: () => revision,
  }
}

function contentBytes({ raw, text, html }: KeptMessage): number {
  return raw.byteLength + (text?.length ?? 0) + (html?.length ?? 0)
}

function truncate(message: KeptMessage, maxBytes: number): KeptMessage {
  const raw = new Uint8Array(message.raw.subarray(0, maxBytes)) // a copy, so that the whole can be freed
  return { ...message, raw, text: null, html: null, truncated: true }
}
