import type { Clock } from '../src/clock.ts'
import { parseAddress } from '../src/core/address.ts'
import type { Decision, Principal } from '../src/core/decide.ts'
import type { Denial } from '../src/core/denial.ts'
import type { Authenticator, Clearance, Verdict } from '../src/service/authenticate.ts'
import { authenticationRequired, badSender, denialReply, SmtpRefusal, undecided } from './reply.ts'
import type { DecisionReport, Session } from './session.ts'

export interface SenderCheckDeps {
  readonly authenticator: Authenticator
  readonly clock: Pick<Clock, 'monotonic'>
  readonly report?: DecisionReport | undefined
  readonly onFault?: ((session: Session, fault: unknown) => void) | undefined
}

/** Leave to take one step of a message, which may only come after some waiting. */
export interface Leave {
  readonly principal: Principal
  /**
   * Takes the step in the turn of the event loop in which the decision is known to hold, after asking again where it no
   * longer does. Throws `SmtpRefusal` instead when it may not be taken any more.
   */
  take<T>(step: () => Promise<T>): Promise<T>
}

export interface EnvelopeSender {
  /** As the upstream is to be told: the domain in A-labels; empty for the null sender. */
  readonly address: string
  /** Null for the null sender, which only the header can answer for. */
  readonly domain: string | null
}

/** Asks the one decision function for a session, each time anew: a connection does not outlive its token. */
export interface SenderCheck {
  /** Is this a live token? If so the session remembers its digest. */
  authenticate(session: Session, bearerToken: string): Promise<Decision>
  /** Reports a denial that needed no question. */
  deny(session: Session, denial: Denial): Denial
  /** RFC5321.MailFrom. Throws `SmtpRefusal`. */
  envelope(session: Session, mailFrom: string): Promise<{ sender: EnvelopeSender; leave: Leave }>
  /** Every domain that the message claims. Throws `SmtpRefusal`. */
  message(session: Session, domains: readonly string[]): Promise<Leave>
}

/** A token that changes more often than this within one step is not to be decided on. */
const maxQuestions = 3

export function createSenderCheck(deps: SenderCheckDeps): SenderCheck {
  const { authenticator, clock, report, onFault } = deps

  /** The gate that cannot find out says so, and nothing else. */
  async function ask(
    session: Session,
    stage: 'auth' | 'envelope' | 'message',
    digest: string,
    domains: readonly string[],
  ): Promise<Verdict> {
    const startedAt = clock.monotonic()
    let verdict: Verdict
    try {
      verdict = await authenticator.authorise(digest, domains)
    } catch (fault) {
      onFault?.(session, fault)
      throw new SmtpRefusal(undecided)
    }
    report?.(session, stage, verdict, clock.monotonic() - startedAt)
    return verdict
  }

  async function require(
    session: Session,
    stage: 'envelope' | 'message',
    domains: readonly string[],
  ): Promise<Clearance> {
    if (session.digest === undefined) throw new SmtpRefusal(authenticationRequired)
    const verdict = await ask(session, stage, session.digest, domains)
    if (!verdict.allowed) throw new SmtpRefusal(denialReply(verdict))
    return verdict
  }

  async function leave(
    session: Session,
    stage: 'envelope' | 'message',
    domains: readonly string[],
  ): Promise<Leave> {
    const clearance = await require(session, stage, domains)
    return {
      principal: clearance.principal,
      async take(step) {
        let current = clearance
        for (let question = 1; ; question++) {
          if (current.stillHolds()) return step()
          if (question === maxQuestions) {
            onFault?.(session, new Error('the decision was superseded again and again'))
            throw new SmtpRefusal(undecided)
          }
          current = await require(session, stage, domains)
        }
      },
    }
  }

  function deny(session: Session, denial: Denial): Denial {
    report?.(session, 'auth', denial, 0)
    return denial
  }

  return {
    deny,

    async authenticate(session, bearerToken) {
      const presented = authenticator.present(bearerToken)
      if (!presented.wellFormed) {
        return deny(session, { allowed: false, reason: 'malformed-token' })
      }
      const verdict = await ask(session, 'auth', presented.digest, [])
      if (verdict.allowed) session.digest = presented.digest
      return verdict
    },

    async envelope(session, mailFrom) {
      if (mailFrom === '') {
        const sender = { address: '', domain: null }
        return { sender, leave: await leave(session, 'envelope', []) }
      }
      const address = parseAddress(mailFrom)
      if (address === undefined) throw new SmtpRefusal(badSender)
      const { localPart, domain } = address
      const sender = { address: `${localPart}@${domain}`, domain }
      return { sender, leave: await leave(session, 'envelope', [domain]) }
    },

    message: (session, domains) => leave(session, 'message', domains),
  }
}
