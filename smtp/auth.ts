import { timingSafeEqual } from 'node:crypto'
import type { SMTPServerAuthentication } from 'smtp-server'
import type { Decision, Principal } from '../src/core/decide.ts'
import { badCredentials, SmtpRefusal, tooManyFailures } from './reply.ts'
import type { SenderCheck } from './sender.ts'
import type { Session } from './session.ts'

/** RFC 4954 §4: a server may drop a client that guesses. */
const maxFailures = 5

export interface AuthDeps {
  /** Whose password may be a token. */
  readonly usernames: readonly string[]
  readonly senders: SenderCheck
}

/**
 * AUTH PLAIN (RFC 4616) and LOGIN: the password is the token. Throws `SmtpRefusal`. A wrong user name and a wrong token
 * read the same.
 */
export function createAuth({ usernames, senders }: AuthDeps) {
  return async function authenticate(
    session: Session,
    { username = '', authzid = '', password }: SMTPServerAuthentication,
  ): Promise<Principal> {
    const acts = authzid === '' || authzid === username
    const decision: Decision =
      acts && usernames.some((known) => isSame(known, username))
        ? await senders.authenticate(session, password ?? '')
        : senders.deny(session, { allowed: false, reason: 'wrong-username' })
    if (decision.allowed) return decision.principal
    session.failures += 1
    throw new SmtpRefusal(session.failures >= maxFailures ? tooManyFailures : badCredentials)
  }
}

function isSame(known: string, given: string): boolean {
  const [a, b] = [Buffer.from(known), Buffer.from(given)]
  return a.length === b.length && timingSafeEqual(a, b)
}
