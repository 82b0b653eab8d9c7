import type { SMTPServerAddress, SMTPServerSession } from 'smtp-server'
import type { Clock } from '../src/clock.ts'
import { andThen, isPromise } from '../src/core/maybe-promise.ts'
import type { HeaderField, MessageHeader } from '../src/core/message-header.ts'
import type { AssertionSigner } from '../src/service/ports/assertions.ts'
import { createDotStuffing } from './dot-stuffing.ts'
import { type MailParameters, mailCommand, mailParameters, rcptCommand } from './envelope.ts'
import type { Handover } from './hooks.ts'
import { type OpenMessage, openMessage, type Pieces } from './message.ts'
import { headerField, receivedField } from './received.ts'
import { type Reply, replyText, SmtpRefusal, upstreamTrouble } from './reply.ts'
import { textOf, type UpstreamReply, UpstreamTrouble } from './reply-line.ts'
import type { EnvelopeSender, Leave, SenderCheck } from './sender.ts'
import type { Session } from './session.ts'
import type { UpstreamConnection } from './upstream-connection.ts'
import type { UpstreamPool } from './upstream-pool.ts'

export interface SubmissionDeps {
  readonly senders: SenderCheck
  readonly assertions: AssertionSigner
  readonly clock: Pick<Clock, 'now'>
  readonly upstream: UpstreamPool
  readonly hostname: string
  readonly maxMessageBytes: number
  readonly onUpstreamTrouble: (session: Session, error: UpstreamTrouble) => void
}

/** A mail transaction, from the client's MAIL to the end of its DATA. */
interface Transaction {
  readonly sender: EnvelopeSender
  readonly parameters: MailParameters
  /** Of the envelope: to begin with the relay, and nearly always for the message too. */
  readonly leave: Leave
  /** Where it is open with the relay; undefined until MAIL was accepted there. */
  connection: UpstreamConnection | undefined
}

/** Where a session has its transaction: see `gateSession`. */
const current = Symbol('current transaction')
type MaybeInTransaction = Session & { [current]?: Transaction | undefined }

/**
 * Hands a message over in step with the upstream: the client hears of each recipient, and of the message, what the
 * upstream said. Nothing is kept here.
 */
export function createSubmission(deps: SubmissionDeps): Handover {
  const { senders, upstream, onUpstreamTrouble } = deps

  /** Ends the transaction without a message: after RSET, a second MAIL, or when the client is gone. */
  function abandon(session: MaybeInTransaction) {
    session[current]?.connection?.destroy()
    session[current] = undefined
  }

  /** The relay hears of it with the first recipient, as RFC 5321 §3.3 allows. */
  function mail(
    session: MaybeInTransaction,
    _smtp: SMTPServerSession,
    mailFrom: SMTPServerAddress,
  ) {
    abandon(session)
    return andThen(senders.envelope(session, mailFrom.address), ({ sender, leave }) => {
      const parameters = mailParameters(mailFrom, sender)
      session[current] = { sender, parameters, leave, connection: undefined }
    })
  }

  async function rcpt(
    session: MaybeInTransaction,
    _smtp: SMTPServerSession,
    rcptTo: SMTPServerAddress,
  ) {
    const transaction = transactionOf(session)
    const { connection, parameters } = transaction
    try {
      const reply =
        connection === undefined
          ? await openTransaction(transaction, rcptTo)
          : await connection.command(rcptCommand(rcptTo, parameters, connection.extensions))
      // A client that left meanwhile had no connection yet that `abandon` could end.
      if (session.closed) transaction.connection?.destroy()
      // RFC 5321 §3.4: 251 is "will forward".
      if (reply.code !== 250 && reply.code !== 251) throw new SmtpRefusal(passedOn(reply))
    } catch (error) {
      throw passedTrouble(session, error)
    }
  }

  /** Answers the relay's reply to RCPT. Throws `SmtpRefusal` where it refuses the sender. */
  async function openTransaction(
    transaction: Transaction,
    rcptTo: SMTPServerAddress,
  ): Promise<UpstreamReply> {
    const { sender, parameters, leave } = transaction
    let idle = upstream.takeIdle()
    for (;;) {
      const connection = idle ?? (await upstream.connect())
      const { extensions } = connection
      try {
        const mailLine = mailCommand(sender, parameters, extensions)
        const rcptLine = rcptCommand(rcptTo, parameters, extensions)
        const { mail, rcpt } = await leave.take(() => connection.begin(mailLine, rcptLine))
        if (rcpt === undefined) throw new SmtpRefusal(passedOn(mail))
        transaction.connection = connection
        return rcpt
      } catch (error) {
        // A refusal says nothing against the connection; trouble does.
        if (error instanceof SmtpRefusal) upstream.release(connection)
        else connection.destroy()
        // A pooled one may have died, or gone bad, unnoticed: it is replaced, once, by a new one.
        if (idle === undefined || !(error instanceof UpstreamTrouble)) throw error
        idle = undefined
      }
    }
  }

  /** Gone after trouble with the relay: the client's next commands hear of that too. */
  function transactionOf(session: MaybeInTransaction): Transaction {
    const transaction = session[current]
    if (transaction === undefined) throw new SmtpRefusal(upstreamTrouble)
    return transaction
  }

  /** Relays the message; answers the upstream's own words for having taken it. */
  async function data(
    session: MaybeInTransaction,
    smtp: SMTPServerSession,
    pieces: Pieces,
  ): Promise<string> {
    const transaction = transactionOf(session)
    session[current] = undefined
    const { connection } = transaction
    // smtp-server takes no DATA before a recipient was accepted.
    if (connection === undefined) throw new SmtpRefusal(upstreamTrouble)
    try {
      const message = await openMessage(pieces, deps.maxMessageBytes)
      const reply = await relay(session, smtp, transaction, connection, message)
      if (reply.code !== 250) throw new SmtpRefusal(passedOn(reply))
      upstream.release(connection)
      return replyText(enhancedText(reply))
    } catch (error) {
      // Without the final dot the upstream forgets all of it.
      connection.destroy()
      throw passedTrouble(session, error)
    }
  }

  /** Most of what is asked for is there, and to await it would cost as much as a small check: only promises are awaited. */
  async function relay(
    session: Session,
    smtp: SMTPServerSession,
    { parameters, leave: envelopeLeave }: Transaction,
    connection: UpstreamConnection,
    message: OpenMessage,
  ): Promise<UpstreamReply> {
    const decided = senders.message(session, message.senders, envelopeLeave)
    const leave = isPromise(decided) ? await decided : decided
    const { principal } = leave.clearance
    const signed = deps.assertions.sign(leave.presented, {
      audience: upstream.origin,
      principal,
      senders: leave.domains,
      protocol: 'smtp',
    })
    const assertion = isPromise(signed) ? await signed : signed
    const ready = await leave.take(() => connection.command('DATA'))
    if (ready.code !== 354) return isSuccess(ready) ? nonsense(ready) : ready

    const stuff = createDotStuffing()
    const stamps =
      traceField(session, smtp, parameters) +
      headerField('Postern-Assertion', assertion) +
      headerField('Postern-Account-Id', String(principal.accountId)) +
      headerField('Postern-Token-Id', String(principal.tokenId))
    // None of our own lines begins with a dot.
    let drained = connection.write(stamps)
    if (drained !== undefined) await drained
    drained = connection.write(stuff(fieldsToRelay(message.header)))
    if (drained !== undefined) await drained
    for (;;) {
      const came = message.body.next()
      const piece = isPromise(came) ? await came : came
      if (piece === undefined) break
      drained = connection.write(stuff(piece))
      if (drained !== undefined) await drained
      const early = connection.earlyReply()
      if (early !== undefined) return early
    }
    const taken = connection.taken()
    if (taken !== undefined) await taken
    // The last question, whose answer has to hold when the dot goes out: the connection does not outlive its token.
    const asked = senders.messageStill(session, leave)
    const last = isPromise(asked) ? await asked : asked
    return last.take((stillHolds) => connection.finish(stillHolds))
  }

  function traceField(
    session: Session,
    smtp: SMTPServerSession,
    { smtpUtf8 }: MailParameters,
  ): string {
    return receivedField({
      heloName: smtp.hostNameAppearsAs,
      remoteAddress: smtp.remoteAddress,
      hostname: deps.hostname,
      transmissionType: smtpUtf8 ? utf8Type(smtp) : smtp.transmissionType,
      id: session.requestId(),
      at: deps.clock.now(),
    })
  }

  /** Trouble with the upstream is nothing that the client did: temporary, whatever it was. Anything else stays what it is. */
  function passedTrouble(session: Session, error: unknown): unknown {
    if (!(error instanceof UpstreamTrouble)) return error
    // A client that left took the connection with it: that is no trouble.
    if (!session.closed) onUpstreamTrouble(session, error)
    abandon(session)
    return new SmtpRefusal(upstreamTrouble)
  }

  return { mail, rcpt, data, abandon }
}

/**
 * RFC 2034 §4: the class of the enhanced code is the first digit of the basic one. A relay that has none is not understood
 * better than it speaks: X.0.0, and not the guess that a 550 is a mailbox that does not exist.
 */
function enhancedText(reply: UpstreamReply): Pick<Reply, 'enhanced' | 'text'> {
  const text = textOf(reply)
  const [own = '', detail = '.0.0'] = /^[245](\.\d{1,3}\.\d{1,3})(?: |$)/.exec(text) ?? []
  return { enhanced: `${Math.floor(reply.code / 100)}${detail}`, text: text.slice(own.length) }
}

/** Forged copies of our own fields never get through; everything else goes on as it came. */
function fieldsToRelay({ section, fields }: MessageHeader): Buffer {
  const isForged = ({ name }: HeaderField) => name.startsWith('postern-')
  if (!fields.some(isForged)) return section
  const kept = fields.filter((field) => !isForged(field))
  return Buffer.concat(kept.map(({ begin, end }) => section.subarray(begin, end)))
}

/** RFC 6531 §4.3: `UTF8SMTPSA` and its kin. */
function utf8Type({ transmissionType }: SMTPServerSession): string {
  return transmissionType.replace(/^E?SMTP/, 'UTF8SMTP')
}

function isSuccess({ code }: UpstreamReply): boolean {
  return code >= 200 && code < 300
}

function nonsense({ code }: UpstreamReply): never {
  throw new UpstreamTrouble(`DATA was answered ${code}`)
}

/**
 * The upstream's own words. What it has against the gate itself (no or bad credentials, wrong order, a command that it does
 * not know, going away) is the gate's trouble, not the client's.
 */
function passedOn(reply: UpstreamReply): Reply {
  const { code } = reply
  switch (code) {
    case 421:
    case 454:
    case 500:
    case 502:
    case 503:
    case 504:
    case 530:
    case 534:
    case 535:
    case 538:
      throw new UpstreamTrouble(`the upstream refused the gate: ${code}`)
    default:
      if (code < 400) throw new UpstreamTrouble(`the upstream answered ${code}`)
      return { code, ...enhancedText(reply) }
  }
}
