import type { Denial } from '../src/core/denial.ts'
import { maxSenders, type SenderProblem } from '../src/core/header-from.ts'
import type { LineEndingProblem } from '../src/core/line-ending-guard.ts'
import type { HeaderProblem } from '../src/core/message-header.ts'

/**
 * Everything an SMTP client is told by the gate itself. Basic code, enhanced code (RFC 3463) and text are one value,
 * chosen here and nowhere else: smtp-server sends the text of any other error to the client.
 */
export interface Reply {
  readonly code: number
  /** RFC 3463. */
  readonly enhanced: string
  readonly text: string
}

/** A refusal that is on its way to the client. */
export class SmtpRefusal extends Error {
  readonly reply: Reply

  constructor(reply: Reply) {
    super(`${reply.code} ${reply.enhanced} ${reply.text}`)
    this.reply = reply
  }
}

/** RFC 4954 §6. */
export const authenticationRequired: Reply = {
  code: 530,
  enhanced: '5.7.0',
  text: 'Authentication required',
}

/** RFC 4954 §6: the client would have shown its token to the whole network. */
export const encryptionRequired: Reply = {
  code: 538,
  enhanced: '5.7.11',
  text: 'Encryption required for authentication: use STARTTLS',
}

/** RFC 4954 §4. */
export const badBase64: Reply = {
  code: 501,
  enhanced: '5.5.2',
  text: 'The response is not base64',
}

export const tooManyFailures: Reply = {
  code: 421,
  enhanced: '4.7.0',
  text: 'Too many failed authentications',
}

/** RFC 5321 §3.8: who is not served now is told so, and may come back. */
export const tooManyConnections: Reply = {
  code: 421,
  enhanced: '4.7.0',
  text: 'Too many connections: try again later',
}

/** The message comes more slowly than any line is. */
export const tooSlow: Reply = {
  code: 421,
  enhanced: '4.4.2',
  text: 'The message did not arrive in time',
}

/** The gate cannot find out: never a bad credential. */
export const undecided: Reply = {
  code: 454,
  enhanced: '4.7.0',
  text: 'Temporary authentication failure: try again',
}

export const badSender: Reply = {
  code: 501,
  enhanced: '5.1.7',
  text: 'The sender is not one plain address',
}

export const badRecipient: Reply = {
  code: 501,
  enhanced: '5.1.3',
  text: 'The recipient is not one plain address',
}

/** RFC 5321 §4.1.1.11: what it asks for would not happen. */
export const unknownParameter: Reply = {
  code: 555,
  enhanced: '5.5.4',
  text: 'The command has a parameter that was not offered',
}

/** RFC 6531 §3.5. */
export const needsSmtpUtf8: Reply = {
  code: 553,
  enhanced: '5.6.7',
  text: 'The address needs SMTPUTF8, which the client did not ask for or the next server lacks',
}

/** RFC 6152 §3: a message is not made to fit a server that takes 7 bits only. */
export const needsEightBit: Reply = {
  code: 554,
  enhanced: '5.6.3',
  text: 'The next server takes no 8-bit messages',
}

/** The upstream is unreachable, gone, or answered nonsense. */
export const upstreamTrouble: Reply = {
  code: 451,
  enhanced: '4.4.1',
  text: 'The relay behind the gate cannot take the message now: try again',
}

export function tooLarge(maxMessageBytes: number): Reply {
  return {
    code: 552,
    enhanced: '5.3.4',
    text: `The message is larger than ${maxMessageBytes} bytes`,
  }
}

/** A token that is refused at AUTH; unknown, expired and deleted read the same. */
export const badCredentials: Reply = {
  code: 535,
  enhanced: '5.7.8',
  text: 'Authentication credentials invalid',
}

/** 421 lets the server close the connection, which must not outlive its token. */
const tokenEnded: Reply = {
  code: 421,
  enhanced: '4.7.0',
  text: 'The API token is no longer valid',
}

/** Translates a denial of an authenticated session. */
export function denialReply(denial: Denial): Reply {
  switch (denial.reason) {
    case 'no-credential':
      return authenticationRequired
    case 'malformed-token':
    case 'unknown-token':
    case 'expired-token':
    case 'wrong-username':
      return tokenEnded
    case 'too-many-failures':
      return tooManyFailures
    case 'too-many-calls':
      return {
        code: 451,
        enhanced: '4.7.0',
        text: `Too many messages with this API token: try again in ${Math.ceil((denial.waitMs ?? 0) / 1000)} s`,
      }
    case 'unknown-domain':
    case 'unverified-domain':
    case 'not-domain-admin':
      return {
        code: 550,
        enhanced: '5.7.1',
        text: `Sending from domain ${denial.domain ?? ''} is not allowed`,
      }
  }
}

/** Says what is wrong with a message that two servers could read differently. */
export function messageProblemReply(
  problem: LineEndingProblem | HeaderProblem | SenderProblem,
): Reply {
  switch (problem) {
    case 'bare-cr-or-lf':
      return { code: 550, enhanced: '5.6.0', text: 'The message has a CR or LF that stands alone' }
    case 'nul':
      return { code: 550, enhanced: '5.6.0', text: 'The message has a NUL character' }
    case 'header-too-large':
      return { code: 552, enhanced: '5.3.4', text: 'The header of the message is too large' }
    case 'malformed-header':
      return { code: 550, enhanced: '5.6.0', text: 'The header of the message is malformed' }
    case 'no-from':
      return { code: 550, enhanced: '5.7.1', text: 'The message has no From field' }
    case 'several-from':
      return { code: 550, enhanced: '5.7.1', text: 'The message has more than one From field' }
    case 'several-sender':
      return { code: 550, enhanced: '5.7.1', text: 'The message has more than one Sender field' }
    case 'unreadable-from':
      return {
        code: 550,
        enhanced: '5.7.1',
        text: 'The From field is not a plain list of addresses',
      }
    case 'unreadable-sender':
      return { code: 550, enhanced: '5.7.1', text: 'The Sender field is not one plain address' }
    case 'too-many-senders':
      return {
        code: 550,
        enhanced: '5.7.1',
        text: `The message is from more than ${maxSenders} mailboxes`,
      }
  }
}

/** What follows the basic code. */
export function replyText({ enhanced, text }: Pick<Reply, 'enhanced' | 'text'>): string {
  return text === '' ? enhanced : `${enhanced} ${text}`
}

/**
 * A whole reply with its line ends (RFC 5321 §4.2.1): each line begins with the code, and a hyphen behind that says that another one
 * follows. The enhanced code, empty for none, is on each too (RFC 2034 §4). What is not printable ASCII becomes `?`.
 */
export function formatReply({
  code,
  enhanced,
  text,
}: Omit<Reply, 'text'> & { readonly text: string | string[] }): string {
  const lead = enhanced === '' ? '' : `${enhanced} `
  // Nearly all are one line, which needs no list.
  if (!Array.isArray(text)) return `${code} ${lead}${printable(text)}\r\n`
  const last = text.length - 1
  return text
    .map((line, at) => `${code}${at < last ? '-' : ' '}${lead}${printable(line)}\r\n`)
    .join('')
}

/** RFC 5321 §4.2: replies are ASCII. One byte for each character (latin1), U+010A would be an LF. */
export function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?')
}

/** In the form that smtp-server's hooks take: its `message` becomes the text of the reply. */
export function hookError(reply: Reply): Error & { responseCode: number } {
  return Object.assign(new Error(replyText(reply)), { responseCode: reply.code })
}
