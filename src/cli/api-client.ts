import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { CommandFailed } from './command.ts'
import { printable } from './printable.ts'

/** A gate's management API, and the token that speaks to it. */
export interface ApiTarget {
  /** Without a slash at its end. */
  readonly url: string
  readonly token: string
  /** PEM: who is trusted besides those that Node trusts. */
  readonly ca?: readonly string[] | undefined
  readonly timeoutMs: number
}

export interface ApiCall {
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body?: object
  readonly idempotencyKey?: string | undefined
}

export interface ApiAnswer {
  readonly status: number
  readonly body: unknown
  field(name: string): string | undefined
}

export interface ApiClient {
  /** A success, or a 404, which only the caller can tell the meaning of. Everything else is thrown, with its sentence. */
  call(method: Method, path: string, call?: ApiCall): Promise<ApiAnswer>
  /** Of an answer that no version of the API gives. */
  notTheApi(status: number): CommandFailed
  close(): Promise<void>
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

interface ApiClientDeps {
  /** Tells a person that something takes longer. */
  readonly tell: (sentence: string) => void
  readonly wait?: (ms: number) => Promise<unknown>
}

/** A command waits no longer than this in all because its token calls too often. */
const longestWaitMs = 30_000

/** No redirect is followed: the token is for this address, and for no other that an answer may name. */
export function createApiClient(
  target: ApiTarget,
  { tell, wait = delay }: ApiClientDeps,
): ApiClient {
  const { url, token, ca, timeoutMs } = target
  const agent = new Agent({
    connect: { ...(ca && { ca: [...ca] }), timeout: timeoutMs },
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
  })

  async function send(method: Method, path: string, { query, body, idempotencyKey }: ApiCall) {
    try {
      const answer = await request(`${url}${path}${queryText(query)}`, {
        method,
        dispatcher: agent,
        headers: {
          authorization: `Bearer ${token}`,
          accept: 'application/json',
          ...(body && { 'content-type': 'application/json' }),
          ...(idempotencyKey && { 'idempotency-key': idempotencyKey }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      })
      return { answer, text: await answer.body.text() }
    } catch (error) {
      throw new CommandFailed(
        failureSentence(error, { url, timeoutMs, isChange: method !== 'GET' }),
      )
    }
  }

  function notTheApi(status: number) {
    return new CommandFailed(`${url} does not answer as the management API of a gate (${status})`)
  }

  return {
    async call(method, path, call = {}) {
      for (let waitedMs = 0; ; ) {
        const { answer, text } = await send(method, path, call)
        const { statusCode: status, headers } = answer
        const field = (name: string) => [headers[name]].flat()[0]
        if (status >= 300 && status < 400) {
          throw new CommandFailed(
            `${url} redirects to ${printable(field('location') ?? 'nowhere')}, which is not followed with a token: give the right address with --url`,
          )
        }
        const body = readJson(text)
        if (body === undefined && status !== 204) throw notTheApi(status)
        if (status < 300 || status === 404) return { status, body, field }
        const pauseMs = Math.max(1, Number(field('retry-after')) || 1) * 1_000
        // The call was not begun: it may be repeated, whatever it is.
        if (status === 429 && waitedMs + pauseMs <= longestWaitMs) {
          tell(`this token calls too often: waiting ${pauseMs / 1_000} s`)
          await wait(pauseMs)
          waitedMs += pauseMs
          continue
        }
        throw refusal(status, body)
      }
    },

    notTheApi,

    close: () => agent.destroy(),
  }

  function refusal(status: number, body: unknown): CommandFailed {
    const sentence = errorSentence(body)
    if (sentence === undefined) return notTheApi(status)
    return new CommandFailed(
      status >= 500
        ? `${url} cannot answer now (${status}): ${sentence}`
        : `refused (${status}): ${sentence}`,
    )
  }
}

function queryText(query: ApiCall['query'] = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
  )
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs)}`
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** The API's own words, in whichever of its shapes: `error`, or `errors` as a text or by field. */
function errorSentence(body: unknown): string | undefined {
  if (typeof body !== 'object' || body === null) return undefined
  const { error, errors } = body as { error?: unknown; errors?: unknown }
  for (const one of [error, errors]) if (typeof one === 'string') return printable(one)
  if (typeof errors !== 'object' || errors === null) return undefined
  const sentences = Object.entries(errors).flatMap(([field, about]) =>
    [about].flat().map((one) => (field === 'base' ? String(one) : `${field} ${one}`)),
  )
  return sentences.length === 0 ? undefined : printable(sentences.join('; '))
}

/** Of a connection that was had, nobody knows what became of what was sent over it. */
const brokenCodes = ['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE', 'UND_ERR_ABORTED']
const silentCodes = ['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']

function failureSentence(
  error: unknown,
  { url, timeoutMs, isChange }: { url: string; timeoutMs: number; isChange: boolean },
): string {
  const code = codeOf(error)
  const unknown = isChange ? ': whether anything was done is not known' : ''
  if (silentCodes.includes(code)) return `no answer from ${url} in ${timeoutMs / 1_000} s${unknown}`
  if (brokenCodes.includes(code))
    return `the connection to ${url} broke before its answer${unknown}`
  return `could not reach ${url}: ${reasonOf(error)}`
}

function codeOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
}

/** A host with several addresses fails once for each, and says nothing of all. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(reasonOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
