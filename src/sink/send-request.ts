import { clipBody, clipLine, listAddresses } from './bounds.ts'

export interface SendAnswer {
  readonly status: 200 | 400
  readonly body: SendResult & { readonly responses?: readonly SendResult[] }
}

interface SendResult {
  readonly success: boolean
  readonly message_ids?: readonly string[]
  readonly errors?: readonly string[]
}

/** What a request says about itself, for display. */
export interface SendSummary {
  readonly senders: readonly string[]
  readonly recipients: readonly string[]
  readonly headerFrom: string | null
  readonly subject: string | null
  readonly text: string | null
  readonly html: string | null
}

const maxBatchItems = 500

/** Answers a send or batch request as the vendor does, and describes it. `nextId` makes message ids. */
export function readSendRequest(
  body: Uint8Array,
  kind: 'send' | 'batch',
  nextId: () => string,
): { answer: SendAnswer; summary: SendSummary } {
  const json = parseObject(body)
  if (json === null) return { answer: refusal('the body is not a JSON object'), summary: nothing }
  const items = kind === 'send' ? [json] : effectiveItems(json)
  const answer = kind === 'send' ? answerSend(json, nextId) : answerBatch(json, items, nextId)
  return { answer, summary: summarise(items) }
}

function answerSend(item: JsonObject, nextId: () => string): SendAnswer {
  const result = acceptItem(item, nextId)
  return { status: result.success ? 200 : 400, body: result }
}

/** 200 with the failures inside, also when every item failed: that is what the vendor does. */
function answerBatch(
  json: JsonObject,
  items: readonly JsonObject[],
  nextId: () => string,
): SendAnswer {
  if (!Array.isArray(json.requests) || json.requests.length === 0) {
    return refusal("empty field: 'requests'")
  }
  if (items.length > maxBatchItems)
    return refusal(`'requests' has more than ${maxBatchItems} items`)
  const responses = items.map((item) => acceptItem(item, nextId))
  return { status: 200, body: { success: true, responses } }
}

function acceptItem(item: JsonObject, nextId: () => string): SendResult {
  const errors = itemErrors(item)
  if (errors.length > 0) return { success: false, errors }
  return { success: true, message_ids: recipientsOf(item).map(() => nextId()) }
}

function itemErrors(item: JsonObject): string[] {
  const errors: string[] = []
  const sender = emailOf(item.from)
  if (!isPresent(item.from)) errors.push("'from' is required")
  else if (sender === null || !/^[^@\s]+@[^@\s]+$/.test(clipLine(sender))) {
    errors.push("'from' address is invalid")
  }
  if (recipientsOf(item).length === 0) errors.push("'to', 'cc' or 'bcc' address is required")
  if (isPresent(item.template_uuid)) return errors
  if (!isText(item.subject)) errors.push("'subject' is required")
  if (!isText(item.text) && !isText(item.html)) {
    errors.push('must specify either text or html body')
  }
  return errors
}

function summarise(items: readonly JsonObject[]): SendSummary {
  const first = items[0] ?? {}
  return {
    senders: listAddresses(items.map((item) => emailOf(item.from) ?? '')),
    recipients: listAddresses(items.flatMap(recipientsOf)),
    headerFrom: displayName(first.from),
    subject: isText(first.subject) ? clipLine(first.subject) : null,
    text: isText(first.text) ? clipBody(first.text) : null,
    html: isText(first.html) ? clipBody(first.html) : null,
  }
}

type JsonObject = { readonly [key: string]: unknown }

const nothing: SendSummary = summarise([])

function refusal(error: string): SendAnswer {
  return { status: 400, body: { success: false, errors: [error] } }
}

function parseObject(body: Uint8Array): JsonObject | null {
  try {
    const json: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
    return isObject(json) ? json : null
  } catch {
    return null
  }
}

/** Each item with what it leaves out taken from `base`. A null counts as left out: some clients send every key. */
function effectiveItems(json: JsonObject): JsonObject[] {
  if (!Array.isArray(json.requests)) return []
  const base = isObject(json.base) ? json.base : {}
  return json.requests.map((request: unknown) => {
    const own = isObject(request) ? Object.entries(request) : []
    return { ...base, ...Object.fromEntries(own.filter(([, value]) => isPresent(value))) }
  })
}

function recipientsOf(item: JsonObject): string[] {
  return [item.to, item.cc, item.bcc]
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .map((entry: unknown) => emailOf(entry))
    .filter((email) => email !== null)
}

function emailOf(value: unknown): string | null {
  return isObject(value) && isText(value.email) ? value.email : null
}

function displayName(value: unknown): string | null {
  const email = emailOf(value)
  if (email === null || !isObject(value)) return null
  return clipLine(isText(value.name) ? `${value.name} <${email}>` : email)
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null
}
