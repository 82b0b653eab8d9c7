import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { parseAddress } from '../src/core/address.ts'
import { type Denial, isCredentialDenial } from '../src/core/denial.ts'
import { type BodyProblem, createSenderScanner, type SendKind } from '../src/core/sender-scanner.ts'
import type { Verdict } from '../src/service/authenticate.ts'
import type { BodyMemory } from '../src/service/ports.ts'
import type { AuthenticateDeps } from './authenticate.ts'
import { type BodyUnread, readBody } from './body.ts'
import {
  type ForbiddenStatus,
  refuse,
  refuseDenial,
  refuseSenders,
  refuseUndecided,
  senderSentence,
} from './challenge.ts'
import { contentProblem } from './content.ts'
import type { GateEnv } from './context.ts'

export interface SenderDeps extends AuthenticateDeps {
  readonly kind: SendKind
  readonly maxBodyBytes: number
  readonly bodyMemory?: BodyMemory | undefined
  readonly forbiddenStatus?: ForbiddenStatus
}

/**
 * Reads the body, and asks for every sender in it. What was checked is what is handed on, byte for byte: as `body` to
 * the gateway, and as the request's body to any other handler.
 */
export function sender(deps: SenderDeps) {
  return createMiddleware<GateEnv>(async function checkSenders(c, next) {
    const { incoming, outgoing } = c.env
    const unreadable = contentProblem(incoming)
    if (unreadable !== undefined) return refuse(c, 415, [unreadable])

    const scanner = createSenderScanner(deps.kind)
    const read = await readBody(incoming, outgoing, {
      limit: deps.maxBodyBytes,
      take: holdMemory(c, deps.bodyMemory),
      onChunk(chunk) {
        scanner.write(chunk)
        return !scanner.refused
      },
    })
    if (read.state !== 'complete' && read.state !== 'stopped') {
      return refuseUnread(c, read.state, deps.maxBodyBytes)
    }
    const scan = scanner.end()
    if (!scan.ok) return refuse(c, 400, scan.problems.map(problemSentence))
    // A stopped scan always has a problem; this is for the type.
    if (read.state !== 'complete') return refuseUnread(c, read.state, deps.maxBodyBytes)

    const { senders: own, base } = scan
    const emails = base === undefined ? own : [...own, base]
    const named: Named = (index, sentence) => {
      if (deps.kind === 'send') return sentence
      return index < own.length ? nameItem(index, sentence) : `base: ${sentence}`
    }
    const domains = emails.map((email) => parseAddress(email)?.domain)
    const notAddresses = indexesOf(domains, (domain) => domain === undefined)
    if (notAddresses.length > 0) {
      const sentence = "'from' address is invalid"
      return refuse(
        c,
        400,
        notAddresses.map((i) => named(i, sentence)),
      )
    }
    const senders = domains.filter((domain) => domain !== undefined)
    const refused = await authoriseSenders(c, deps, senders, named)
    if (refused !== undefined) return refused

    c.set('senders', [...new Set(senders)])
    c.set('body', read.chunks)
    restoreBody(incoming, read.chunks)
    return next()
  })
}

/** Decides each sender from one reading of the credential; sets the principal, or answers. */
async function authoriseSenders(
  c: Context<GateEnv>,
  deps: SenderDeps,
  senders: readonly string[],
  named: Named,
): Promise<Response | undefined> {
  const { authenticator, clock, report, onFault, forbiddenStatus = 403 } = deps
  const startedAt = clock.monotonic()
  let verdicts: readonly Verdict[]
  try {
    verdicts = await authenticator.authoriseEach(c.get('digest'), senders)
  } catch (fault) {
    onFault?.(c, fault)
    return refuseUndecided(c)
  }
  const ms = clock.monotonic() - startedAt
  const denials = verdicts
    .map((verdict, index) => ({ verdict, index }))
    .filter((item): item is { verdict: Denial; index: number } => !item.verdict.allowed)
  const [first] = denials
  if (first !== undefined) {
    report?.(c, 'message', first.verdict, ms)
    if (isCredentialDenial(first.verdict.reason)) return refuseDenial(c, first.verdict)
    const sentences = denials.map(({ verdict, index }) => named(index, senderSentence(verdict)))
    return refuseSenders(c, sentences, forbiddenStatus)
  }
  const [verdict] = verdicts
  if (verdict?.allowed !== true) throw new Error('a body without senders was not refused')
  report?.(c, 'message', verdict, ms)
  c.set('principal', verdict.principal)
  c.set('clearance', {
    stillHolds: () => verdicts.every((each) => each.allowed && each.stillHolds()),
    renew: () => authoriseSenders(c, deps, senders, named),
  })
  return undefined
}

function problemSentence({ item, text }: BodyProblem): string {
  return item === undefined ? text : nameItem(item, text)
}

/** Says which sender of the body a sentence is about. */
type Named = (index: number, sentence: string) => string

function nameItem(index: number, sentence: string): string {
  return `requests[${index}]: ${sentence}`
}

function indexesOf<T>(items: readonly T[], wanted: (item: T) => boolean): number[] {
  return items.map((item, i) => (wanted(item) ? i : -1)).filter((i) => i >= 0)
}

/** Memory for the body of one request, given back when that is answered or gone. */
export function holdMemory(c: Context<GateEnv>, memory?: BodyMemory) {
  const held = memory?.open(c.get('principal').accountId)
  if (held !== undefined) c.env.outgoing.once('close', held.release)
  return held?.take
}

export function refuseUnread(c: Context<GateEnv>, why: BodyUnread, maxBodyBytes: number): Response {
  switch (why) {
    case 'too-large':
      return refuse(c, 413, [`The body is larger than ${maxBodyBytes} bytes`])
    case 'too-slow':
      // RFC 9110 §15.5.9: the connection is of no more use.
      return refuse(c, 408, ['The request did not arrive in time'], { connection: 'close' })
    case 'no-room':
      return refuseUndecided(c)
    case 'stopped':
      return refuse(c, 400, ['The body could not be read'])
    case 'aborted':
      // Nobody reads this. 499 is what nginx logs for a client that left.
      return new Response(null, { status: 499 })
  }
}

/** A handler behind this one reads the body as if nobody had: @hono/node-server looks for `rawBody` first. */
function restoreBody(incoming: object, chunks: readonly Buffer[]) {
  Object.defineProperty(incoming, 'rawBody', {
    configurable: true,
    get: () => (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)),
  })
}
