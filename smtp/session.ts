import type { SMTPServerSession } from 'smtp-server'
import type { Decision, Principal } from '../src/core/decide.ts'
import type { Denial } from '../src/core/denial.ts'
import type { PresentedToken } from '../src/service/ports/presented-token.ts'

/** What the gate remembers of one SMTP connection. The token's text is never in it. */
export interface Session {
  /** For logs; of the connection at AUTH, of the message afterwards. */
  readonly requestId: () => string
  readonly remoteAddress: () => string
  /** Set by a successful AUTH. */
  presented: PresentedToken | undefined
  failures: number
  closed: boolean
  /** Gives back what the connection has taken. */
  onClose: () => void
}

/**
 * Told of every decision, but not of a repeated one that still allows; the gateway logs and counts it. `ms` is how long it took.
 */
export type DecisionReport = (
  session: Session,
  stage: 'auth' | 'envelope' | 'message',
  decision: Decision,
  ms: number,
) => void

export interface Authorised {
  readonly allowed: true
  readonly principal: Principal
}

export type Standing = Authorised | Denial

/** Where smtp-server's session has ours. Not a `WeakMap`: each scavenge would have to look after its entries. */
const gateSession = Symbol('gateSession')

export function sessionOf(smtp: SMTPServerSession & { [gateSession]?: () => Session }): Session {
  smtp[gateSession] ??= beginSession(smtp)
  return smtp[gateSession]()
}

/** Answers a function: whoever prints smtp-server's session, or copies it, is not shown the digest. */
function beginSession(smtp: SMTPServerSession): () => Session {
  const session: Session = {
    requestId: () => `${smtp.id}-${smtp.transaction}`,
    remoteAddress: () => smtp.remoteAddress,
    presented: undefined,
    failures: 0,
    closed: false,
    onClose: () => {},
  }
  return () => session
}
