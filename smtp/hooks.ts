import type {
  SMTPServerAddress,
  SMTPServerDataStream,
  SMTPServerOptions,
  SMTPServerSession,
} from 'smtp-server'
import type { Clock } from '../src/clock.ts'
import { andThen, type MaybePromise, settle } from '../src/core/maybe-promise.ts'
import type { Seats } from '../src/service/ports/limits.ts'
import { createAuth } from './auth.ts'
import { discardRest, type Pieces, piecesOf } from './message.ts'
import { hookError, type Reply, SmtpRefusal, tooLarge, undecided } from './reply.ts'
import type { SenderCheck } from './sender.ts'
import { type Session, sessionOf } from './session.ts'

/**
 * What becomes of a message that is let through. Its methods throw, or reject with, `SmtpRefusal` for what the client is to
 * be told.
 */
export interface Handover {
  mail(session: Session, smtp: SMTPServerSession, mailFrom: SMTPServerAddress): MaybePromise<void>
  rcpt(session: Session, smtp: SMTPServerSession, rcptTo: SMTPServerAddress): MaybePromise<void>
  /** Takes the bytes of DATA; answers the text that goes with 250. */
  data(session: Session, smtp: SMTPServerSession, pieces: Pieces): Promise<string | undefined>
  /** The client is gone. */
  abandon(session: Session): void
}

export interface HookDeps {
  readonly senders: SenderCheck
  readonly usernames: readonly string[]
  readonly handover: Handover
  readonly maxMessageBytes: number
  readonly clock: Pick<Clock, 'monotonic'>
  readonly accountSeats?: Seats | undefined
  /** Something went wrong in the gate itself. */
  readonly onFault?: ((session: Session, fault: unknown) => void) | undefined
}

export type Hooks = Required<
  Pick<SMTPServerOptions, 'onAuth' | 'onMailFrom' | 'onRcptTo' | 'onData' | 'onClose'>
>

/** The hooks of smtp-server. Whatever goes wrong in one of them, what the client hears is a reply of `reply.ts`. */
export function createHooks(deps: HookDeps): Hooks {
  const { handover, onFault } = deps
  const authenticate = createAuth(deps)

  function replyTo(session: Session, error: unknown): Reply {
    if (error instanceof SmtpRefusal) return error.reply
    if (!session.closed) onFault?.(session, error)
    return undecided
  }

  /** Runs a hook and tells smtp-server how it ended, in the form that it takes. */
  function answer<T>(
    smtp: SMTPServerSession,
    work: (session: Session) => MaybePromise<T>,
    callback: (error: Error | null, value?: T) => void,
  ) {
    const session = sessionOf(smtp)
    void settle(
      () => work(session),
      (value) => callback(null, value),
      (error) => callback(hookError(replyTo(session, error))),
    )
  }

  return {
    onAuth(auth, smtp, callback) {
      answer(
        smtp,
        (session) =>
          andThen(authenticate(session, auth), ({ tokenId, accountId }) => ({
            user: { tokenId, accountId },
          })),
        callback,
      )
    },

    onMailFrom(mailFrom, smtp, callback) {
      answer(smtp, (session) => handover.mail(session, smtp, mailFrom), callback)
    },

    onRcptTo(rcptTo, smtp, callback) {
      answer(smtp, (session) => handover.rcpt(session, smtp, rcptTo), callback)
    },

    onData(stream, smtp, callback) {
      const session = sessionOf(smtp)
      receive(session, smtp, stream).then(
        (text) => callback(null, text),
        (reply: Reply) => callback(hookError(reply)),
      )
    },

    onClose(smtp) {
      const session = sessionOf(smtp)
      session.closed = true
      session.onClose()
      handover.abandon(session)
    },
  }

  /** Settles once the client has sent all of the message or is cut off; rejects with a `Reply`. */
  async function receive(session: Session, smtp: SMTPServerSession, stream: SMTPServerDataStream) {
    const pieces = piecesOf(stream, deps.clock)
    let text: string | undefined
    let refusal: Reply | undefined
    try {
      text = await handover.data(session, smtp, pieces)
    } catch (error) {
      // smtp-server tells of a client that left later than its stream does.
      if (stream.destroyed && !stream.readableEnded) session.closed = true
      refusal = replyTo(session, error)
    }
    const isRead = pieces.isOver() || (await discardRest(pieces, deps.maxMessageBytes))
    if (!isRead) {
      // It will not stop: 421 closes the connection.
      stream.destroy()
      const { text: why } = refusal ?? tooLarge(deps.maxMessageBytes)
      throw { code: 421, enhanced: '4.7.0', text: why } satisfies Reply
    }
    if (refusal !== undefined) throw refusal
    return text
  }
}
