import type { Clock } from '../src/clock.ts'
import { parseAddress } from '../src/core/address.ts'
import type { Decision } from '../src/core/decide.ts'
import type { Denial } from '../src/core/denial.ts'
import { andThen, type MaybePromise, settle } from '../src/core/maybe-promise.ts'
import type { Admission } from '../src/service/admission.ts'
import type { Authenticator, Clearance, Verdict } from '../src/service/authenticate.ts'
import type { RateLimit } from '../src/service/ports/limits.ts'
import type { PresentedToken } from '../src/service/ports/presented-token.ts'
import { authenticationRequired, badSender, denialReply, SmtpRefusal, undecided } from './reply.ts'
import type { DecisionReport, Session } from './session.ts'

export interface SenderCheckDeps {
  readonly authenticator: Authenticator
  readonly admission: Admission
  /** Left out: a token may send as often as it likes. */
  readonly rate?: RateLimit | undefined
  readonly clock: Pick<Clock, 'monotonic'>
  readonly report?: DecisionReport | undefined
  readonly onFault?: ((session: Session, fault: unknown) => void) | undefined
}

/** Leave to take one step of a message, which may only come after some waiting. */
export interface Leave {
  /** Whose leave it is. */
  readonly presented: PresentedToken
  /** The domains (A-labels) that it is leave to send as, all of them; none for the null sender. */
  readonly domains: readonly string[]
  readonly clearance: Clearance
  /**
   * Takes the step in the turn of the event loop in which the decision is known to hold, after asking again where it no
   * longer does. A step whose last byte goes out later asks `stillHolds` right before that; if it answers undefined it was not
   * taken, and is tried again after another question. Throws `SmtpRefusal` when it may not be taken any more.
   */
  take<T>(step: (stillHolds: () => boolean) => Promise<T | undefined>): Promise<T>
}

export interface EnvelopeSender {
  /** As the upstream is to be told: the domain in A-labels; empty for the null sender. */
  readonly address: string
  /** Null for the null sender, which only the header can answer for. */
  readonly domain: string | null
}

export interface PermittedSender {
  readonly sender: EnvelopeSender
  readonly leave: Leave
}

/**
 * Asks the one decision function for a session before each step, unless an earlier answer is known to hold: a connection does
 * not outlive its token. Answers at once what is in memory; throws, or rejects with, `SmtpRefusal`.
 */
export interface SenderCheck {
  /** Is this a live token? If so the session keeps it. */
  authenticate(session: Session, bearerToken: string): MaybePromise<Decision>
  /** Counts and reports a denial that needed no question; answers what the client is to be told. */
  deny(session: Session, denial: Denial): Denial
  /** RFC5321.MailFrom. */
  envelope(session: Session, mailFrom: string): MaybePromise<PermittedSender>
  /** Every domain of envelope and header. */
  message(
    session: Session,
    headerDomains: readonly string[],
    envelopeLeave: Leave,
  ): MaybePromise<Leave>
  /** The same once more, at the end of the message. An answer that is still the same is reported to nobody. */
  messageStill(session: Session, leave: Leave): MaybePromise<Leave>
}

/** Within one step. A token that changes more often is not to be decided on. */
const maxQuestions = 3

export function createSenderCheck(deps: SenderCheckDeps): SenderCheck {
  const { authenticator, admission, rate, clock, report, onFault } = deps

  /** The gate that cannot find out says so, and nothing else. */
  function ask(
    session: Session,
    stage: 'auth' | 'envelope' | 'message',
    question: () => MaybePromise<Verdict>,
    isRepeated = false,
  ): MaybePromise<Verdict> {
    const startedAt = clock.monotonic()
    function conclude(verdict: Verdict): Verdict {
      if (!isRepeated || !verdict.allowed) {
        report?.(session, stage, verdict, clock.monotonic() - startedAt)
      }
      return verdict
    }
    return settle(question, conclude, (fault) => {
      onFault?.(session, fault)
      throw new SmtpRefusal(undecided)
    })
  }

  function askLeave(
    session: Session,
    stage: 'envelope' | 'message',
    domains: readonly string[],
    isRepeated = false,
  ): MaybePromise<Leave> {
    const { presented } = session
    if (presented === undefined) throw new SmtpRefusal(authenticationRequired)
    const question = () => authenticator.authorise(presented, domains)
    return andThen(ask(session, stage, question, isRepeated), (verdict) => {
      const clearance = clearanceOf(verdict)
      const askAnew = () => ask(session, stage, question, true)
      return {
        presented,
        domains,
        clearance,
        take: (step) => take(session, clearance, step, askAnew),
      }
    })
  }

  async function take<T>(
    session: Session,
    first: Clearance,
    step: (stillHolds: () => boolean) => Promise<T | undefined>,
    askAnew: () => MaybePromise<Verdict>,
  ): Promise<T> {
    let clearance = first
    for (let asked = 1; asked <= maxQuestions; asked++) {
      if (asked > 1) clearance = clearanceOf(await askAnew())
      const taken = clearance.stillHolds() ? await step(clearance.stillHolds) : undefined
      if (taken !== undefined) return taken
    }
    onFault?.(session, new Error('the decision was superseded again and again'))
    throw new SmtpRefusal(undecided)
  }

  function deny(session: Session, denied: Denial): Denial {
    const denial = admission.fail(denied, session.remoteAddress())
    report?.(session, 'auth', denial, 0)
    return denial
  }

  /** A message counts when its sender may send it. */
  function count(session: Session, { clearance }: Leave) {
    const { tokenId, rate: own } = clearance.principal
    const waitMs = rate?.take(tokenId, own)?.waitMs ?? 0
    if (waitMs === 0) return
    const denial = { allowed: false, reason: 'too-many-calls', tokenId, waitMs } as const
    report?.(session, 'envelope', denial, 0)
    throw new SmtpRefusal(denialReply(denial))
  }

  function permit(session: Session, sender: EnvelopeSender): MaybePromise<PermittedSender> {
    const { domain } = sender
    const domains = domain === null ? [] : [domain]
    return andThen(askLeave(session, 'envelope', domains), (leave) => {
      count(session, leave)
      return { sender, leave }
    })
  }

  return {
    deny,

    authenticate(session, bearerToken) {
      const presented = authenticator.present(bearerToken)
      if (presented === undefined) {
        return deny(session, { allowed: false, reason: 'malformed-token' })
      }
      const admitted = ask(session, 'auth', () =>
        admission.admit(presented, session.remoteAddress()),
      )
      return andThen(admitted, (verdict) => {
        if (verdict.allowed) session.presented = presented
        return verdict
      })
    },

    envelope(session, mailFrom) {
      if (mailFrom === '') return permit(session, { address: '', domain: null })
      const address = parseAddress(mailFrom)
      if (address === undefined) throw new SmtpRefusal(badSender)
      const { localPart, domain } = address
      return permit(session, { address: `${localPart}@${domain}`, domain })
    },

    message: (session, headerDomains, { domains }) =>
      askLeave(session, 'message', [...new Set([...domains, ...headerDomains])]),

    messageStill: (session, { domains }) => askLeave(session, 'message', domains, true),
  }
}

/** Throws `SmtpRefusal`. */
function clearanceOf(verdict: Verdict): Clearance {
  if (!verdict.allowed) throw new SmtpRefusal(denialReply(verdict))
  return verdict
}
