/** `postern/smtp`: the check for a smtp-server of your own. */

import type { SMTPServerOptions, SMTPServerSession } from 'smtp-server'
import { systemClock } from '../src/clock.ts'
import type { Principal } from '../src/core/decide.ts'
import { createAdmission } from '../src/service/admission.ts'
import type { Authenticator } from '../src/service/authenticate.ts'
import type { AuthFailures, RateLimit } from '../src/service/ports/limits.ts'
import { createHooks, type Handover } from './hooks.ts'
import { type OpenMessage, openMessage } from './message.ts'
import { authenticationRequired, hookError } from './reply.ts'
import { createSenderCheck, type Leave, type SenderCheck } from './sender.ts'
import type { DecisionReport, Session } from './session.ts'

export type { DecisionReport } from './session.ts'

export interface CheckSubmissionOptions {
  readonly authenticator: Authenticator
  /** Whose password may be a token. */
  readonly usernames?: readonly string[]
  readonly maxMessageBytes?: number
  /** Who fails too often is told so, and does not get far. */
  readonly failures?: AuthFailures
  /** How often a token may send. */
  readonly rate?: RateLimit
  readonly report?: DecisionReport
  readonly onFault?: (session: Session, fault: unknown) => void
}

/** A message that may be sent, as far as it has arrived. */
export interface CheckedMessage {
  /** smtp-server's: envelope, addresses, TLS. */
  readonly session: SMTPServerSession
  readonly principal: Principal
  /** The domains (A-labels) that it says it is from. */
  readonly senders: readonly string[]
  /**
   * The very bytes that were checked. It throws where the message turns out bad, or when the token has ended meanwhile:
   * the message may only be delivered once the last piece is there.
   */
  readonly bytes: AsyncIterable<Buffer>
}

/** The defaults of the vendor. */
const defaultUsernames = ['api', 'smtp@mailtrap.io']
const defaultMaxMessageBytes = 30 * 1024 * 1024

/**
 * Options for smtp-server with which it accepts a message only if its token is alive and administers the domain of its
 * envelope sender, its From and its Sender. `deliver` gets what passed; its text goes to the client with 250, and what it
 * throws is answered 454.
 */
export function checkSubmission(
  options: CheckSubmissionOptions,
  deliver: (message: CheckedMessage) => Promise<string | undefined>,
): SMTPServerOptions {
  const { onFault, usernames = defaultUsernames } = options
  const { maxMessageBytes = defaultMaxMessageBytes } = options
  const senders = createSenderCheck({
    ...options,
    admission: createAdmission(options),
    clock: systemClock,
  })
  const handover = createDelivery(senders, maxMessageBytes, deliver)
  return {
    size: maxMessageBytes,
    authMethods: ['PLAIN', 'LOGIN'],
    authRequiredMessage: hookError(authenticationRequired).message,
    ...createHooks({ senders, usernames, handover, maxMessageBytes, onFault, clock: systemClock }),
  }
}

function createDelivery(
  senders: SenderCheck,
  maxMessageBytes: number,
  deliver: (message: CheckedMessage) => Promise<string | undefined>,
): Handover {
  const envelopeLeaves = new WeakMap<Session, Leave>()

  async function* bytesOf(session: Session, { header, body }: OpenMessage, leave: Leave) {
    yield header.section
    for (;;) {
      const piece = await body.next()
      if (piece === undefined) break
      yield piece
    }
    await senders.messageStill(session, leave)
  }

  return {
    async mail(session, _smtp, { address }) {
      const { leave } = await senders.envelope(session, address)
      envelopeLeaves.set(session, leave)
    },
    rcpt: () => {},
    async data(session, smtp, pieces) {
      const message = await openMessage(pieces, maxMessageBytes)
      const envelopeLeave = envelopeLeaves.get(session)
      // smtp-server takes no DATA before MAIL.
      if (envelopeLeave === undefined) throw new Error('a message without an envelope')
      const leave = await senders.message(session, message.senders, envelopeLeave)
      const { principal } = leave.clearance
      const bytes = bytesOf(session, message, leave)
      return deliver({ session: smtp, principal, senders: message.senders, bytes })
    },
    abandon: () => {},
  }
}
