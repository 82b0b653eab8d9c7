import type { Clock } from '../src/clock.ts'
import { parseAddress } from '../src/core/address.ts'
import type { Decision, Principal } from '../src/core/decide.ts'
import type { Denial } from '../src/core/denial.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import { authenticationRequired, badSender, denialReply, SmtpRefusal, undecided } from './reply.ts'
import type { DecisionReport, Session } from './session.ts'

export interface SenderCheckDeps {
  readonly authenticator: Authenticator
  readonly clock: Pick<Clock, 'monotonic'>
  readonly report?: DecisionReport | undefined
  readonly onFault?: ((session: Session, fault: unknown) => void) | undefined
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
  envelope(session: Session, mailFrom: string): Promise<EnvelopeSender>
  /** Every domain that the message claims. Throws `SmtpRefusal`. */
  message(session: Session, domains: readonly string[]): Promise<Principal>
}

export function createSenderCheck(deps: SenderCheckDeps): SenderCheck {
  const { authenticator, clock, report, onFault } = deps

  /** The gate that cannot find out says so, and nothing else. */
  async function ask(
    session: Session,
    stage: 'auth' | 'envelope' | 'message',
    digest: string,
    domains: readonly string[],
  ): Promise<Decision> {
    const startedAt = clock.monotonic()
    let decision: Decision
    try {
      decision = await authenticator.authorise(digest, domains)
    } catch (fault) {
      onFault?.(session, fault)
      throw new SmtpRefusal(undecided)
    }
    report?.(session, stage, decision, clock.monotonic() - startedAt)
    return decision
  }

  async function require(
    session: Session,
    stage: 'envelope' | 'message',
    domains: readonly string[],
  ): Promise<Principal> {
    if (session.digest === undefined) throw new SmtpRefusal(authenticationRequired)
    const decision = await ask(session, stage, session.digest, domains)
    if (!decision.allowed) throw new SmtpRefusal(denialReply(decision))
    return decision.principal
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
      const decision = await ask(session, 'auth', presented.digest, [])
      if (decision.allowed) session.digest = presented.digest
      return decision
    },

    async envelope(session, mailFrom) {
      if (mailFrom === '') {
        await require(session, 'envelope', [])
        return { address: '', domain: null }
      }
      const address = parseAddress(mailFrom)
      if (address === undefined) throw new SmtpRefusal(badSender)
      const { localPart, domain } = address
      await require(session, 'envelope', [domain])
      return { address: `${localPart}@${domain}`, domain }
    },

    message: (session, domains) => require(session, 'message', domains),
  }
}
