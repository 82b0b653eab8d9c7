import { setTimeout as pause } from 'node:timers/promises'
import type { SMTPServerAuthentication } from 'smtp-server'
import type { Decision, Principal } from '../src/core/decide.ts'
import type { Denial } from '../src/core/denial.ts'
import { andThen, type MaybePromise } from '../src/core/maybe-promise.ts'
import type { Seats } from '../src/service/ports/limits.ts'
import { badCredentials, SmtpRefusal, tooManyConnections, tooManyFailures } from './reply.ts'
import type { SenderCheck } from './sender.ts'
import type { Session } from './session.ts'

/** RFC 4954 §4: a server may drop a client that guesses. */
const maxFailures = 5
/** Who mistyped once does not wait; each further failure of this client, on whatever connection, doubles it. */
const firstDelayMs = 250
const longestDelayMs = 8_000

export interface AuthDeps {
  /** Whose password may be a token. */
  readonly usernames: readonly string[]
  readonly senders: SenderCheck
  /** Left out: an account may have as many connections as it likes. */
  readonly accountSeats?: Seats | undefined
}

/**
 * AUTH PLAIN (RFC 4616) and LOGIN: the password is the token. Throws, or rejects with, `SmtpRefusal`. A wrong user name and a
 * wrong token read the same.
 */
export function createAuth({ usernames, senders, accountSeats }: AuthDeps) {
  return function authenticate(
    session: Session,
    { username = '', authzid = '', password }: SMTPServerAuthentication,
  ): MaybePromise<Principal> {
    const acts = authzid === '' || authzid === username
    const asked =
      acts && usernames.includes(username)
        ? senders.authenticate(session, password ?? '')
        : senders.deny(session, { allowed: false, reason: 'wrong-username' })
    return andThen<Decision, Principal>(asked, (decision) => {
      if (!decision.allowed) return refuse(session, decision)
      takeSeat(session, decision.principal)
      return decision.principal
    })
  }

  async function refuse(session: Session, denial: Denial): Promise<never> {
    if (denial.reason === 'too-many-failures') throw new SmtpRefusal(tooManyFailures)
    session.failures += 1
    const delay = delayMs(Math.max(session.failures, denial.failures ?? 0))
    await pause(delay, undefined, { ref: false })
    throw new SmtpRefusal(session.failures >= maxFailures ? tooManyFailures : badCredentials)
  }

  function takeSeat(session: Session, { accountId }: Principal) {
    if (accountSeats === undefined || session.closed) return
    // STARTTLS makes a client that has signed in do so again (RFC 3207 §4.2).
    session.onClose()
    const leave = accountSeats.take(String(accountId))
    if (leave === undefined) throw new SmtpRefusal(tooManyConnections)
    session.onClose = leave
  }
}

function delayMs(failures: number): number {
  return failures < 2 ? 0 : Math.min(firstDelayMs * 2 ** (failures - 2), longestDelayMs)
}
