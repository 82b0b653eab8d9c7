import { parseAddress } from '../src/core/address.ts'
import { type Denial, isCredentialDenial } from '../src/core/denial.ts'
import { andThen, settle } from '../src/core/maybe-promise.ts'
import {
  type BodyProblem,
  createSenderScanner,
  type SenderScanner,
  type SendKind,
} from '../src/core/sender-scanner.ts'
import type { Verdict } from '../src/service/authenticate.ts'
import type { BodyMemory } from '../src/service/ports/limits.ts'
import type { AuthenticateDeps } from './authenticate.ts'
import { type BodyRead, type BodyUnread, readBody } from './body.ts'
import {
  type ForbiddenStatus,
  type Refusal,
  refuse,
  refuseDenial,
  refuseSenders,
  refuseUndecided,
  senderSentence,
} from './challenge.ts'
import { contentProblem } from './content.ts'
import type { Answer, Exchange, Step } from './exchange.ts'

export interface SenderDeps extends AuthenticateDeps {
  readonly kind: SendKind
  readonly maxBodyBytes: number
  readonly bodyMemory?: BodyMemory | undefined
  readonly forbiddenStatus?: ForbiddenStatus
}

/** Reads the body, and asks for every sender in it. What was checked is what is handed on, byte for byte. */
export function sender(deps: SenderDeps): Step {
  return function checkSenders(exchange) {
    const { incoming, outgoing } = exchange
    const unreadable = contentProblem(incoming)
    if (unreadable !== undefined) return refuse(exchange, 415, [unreadable])

    const scanner = createSenderScanner(deps.kind)
    const read = readBody(incoming, outgoing, {
      limit: deps.maxBodyBytes,
      take: holdMemory(exchange, deps.bodyMemory),
      onChunk: scanner.write,
    })
    return andThen(read, (body) => checkRead(exchange, deps, scanner, body))
  }
}

/** Is the body whole, and does it name senders that may be decided on? If so they are. */
function checkRead(
  exchange: Exchange,
  deps: SenderDeps,
  scanner: SenderScanner,
  read: BodyRead,
): Answer {
  if (read.state !== 'complete' && read.state !== 'stopped') {
    return refuseUnread(exchange, read.state, deps.maxBodyBytes)
  }
  const scan = scanner.end()
  if (!scan.ok) return refuse(exchange, 400, scan.problems.map(problemSentence))
  // A stopped scan always has a problem; this is for the type.
  if (read.state !== 'complete') return refuseUnread(exchange, read.state, deps.maxBodyBytes)
  exchange.body = read.chunks

  const { senders: own, base } = scan
  const emails = base === undefined ? own : [...own, base]
  const named: Named = (index, sentence) => {
    if (deps.kind === 'send') return sentence
    return index < own.length ? nameItem(index, sentence) : `base: ${sentence}`
  }
  const domains = emails.map((email) => parseAddress(email)?.domain)
  const senders = domains.filter((domain) => domain !== undefined)
  if (senders.length < domains.length) {
    const notAddresses = indexesOf(domains, (domain) => domain === undefined)
    const sentences = notAddresses.map((i) => named(i, "'from' address is invalid"))
    return refuse(exchange, 400, sentences)
  }
  exchange.senders = senders.length === 1 ? senders : [...new Set(senders)]
  return authoriseSenders(exchange, deps, senders, named)
}

/** Decides each sender from one reading of the credential; sets the principal, or answers. */
function authoriseSenders(
  exchange: Exchange,
  deps: SenderDeps,
  senders: readonly string[],
  named: Named,
): Answer {
  const { authenticator, clock, report, onFault, forbiddenStatus = 403 } = deps
  const startedAt = clock.monotonic()

  function conclude(verdicts: readonly Verdict[]): Refusal | undefined {
    const ms = clock.monotonic() - startedAt
    const first = verdicts.find((verdict): verdict is Denial => !verdict.allowed)
    if (first !== undefined) {
      report?.(exchange, 'message', first, ms)
      if (isCredentialDenial(first.reason)) return refuseDenial(exchange, first)
      const sentences = verdicts.flatMap((verdict, index) =>
        verdict.allowed ? [] : [named(index, senderSentence(verdict))],
      )
      return refuseSenders(exchange, sentences, forbiddenStatus)
    }
    const [verdict] = verdicts
    if (verdict?.allowed !== true) throw new Error('a body without senders was not refused')
    report?.(exchange, 'message', verdict, ms)
    exchange.principal = verdict.principal
    exchange.clearance = {
      stillHolds: () => verdicts.every((each) => each.allowed && each.stillHolds()),
      renew: () => authoriseSenders(exchange, deps, senders, named),
    }
    return undefined
  }
  return settle(
    () => authenticator.authoriseEach(exchange.presented, senders),
    conclude,
    (fault) => {
      onFault?.(exchange, fault)
      return refuseUndecided(exchange)
    },
  )
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
export function holdMemory({ principal, outgoing }: Exchange, memory?: BodyMemory) {
  const held = memory?.open(principal.accountId)
  if (held !== undefined) outgoing.on('close', held.release)
  return held?.take
}

export function refuseUnread(exchange: Exchange, why: BodyUnread, maxBodyBytes: number): Refusal {
  switch (why) {
    case 'too-large':
      return refuse(exchange, 413, [`The body is larger than ${maxBodyBytes} bytes`])
    case 'too-slow':
      // RFC 9110 §15.5.9: the connection is of no more use.
      return refuse(exchange, 408, ['The request did not arrive in time'], { connection: 'close' })
    case 'no-room':
      return refuseUndecided(exchange)
    case 'stopped':
      return refuse(exchange, 400, ['The body could not be read'])
    case 'aborted':
      // Nobody reads this. 499 is what nginx logs for a client that left.
      return refuse(exchange, 499, ['The client went away'])
  }
}
