import type { SMTPServerAddress } from 'smtp-server'
import { isDomainOrLiteral, normaliseDomain } from '../src/core/domain.ts'
import {
  badRecipient,
  needsEightBit,
  needsSmtpUtf8,
  SmtpRefusal,
  unknownParameter,
} from './reply.ts'
import type { EnvelopeSender } from './sender.ts'

/**
 * The envelope as the upstream is told it. Every command is written anew from values that were checked, never from the
 * client's line. Extensions are passed on when the upstream has them.
 */

type Extensions = ReadonlyMap<string, string>

/** What the client asked for with MAIL. From the command itself: smtp-server's envelope keeps that of refused ones too. */
export interface MailParameters {
  /** Bytes, as the client declared them. */
  readonly size: number | undefined
  readonly eightBit: boolean
  readonly smtpUtf8: boolean
  readonly ret: string | undefined
  readonly envid: string | undefined
}

/** RFC 4954 §5: AUTH says who submitted the message at first, and may be left out. */
const mailKeywords = ['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID', 'AUTH']
const rcptKeywords = ['NOTIFY', 'ORCPT']

/** Throws `SmtpRefusal`: smtp-server lets through what it does not know. */
function parametersAmong(keywords: readonly string[], { args }: SMTPServerAddress) {
  const values = args === false ? {} : args
  const isKnown = Object.keys(values).every((keyword) => keywords.includes(keyword))
  if (!isKnown) throw new SmtpRefusal(unknownParameter)
  return values
}

/** Throws `SmtpRefusal`, also for an address beyond ASCII without SMTPUTF8 (RFC 6531 §3.4). */
export function mailParameters(
  mailFrom: SMTPServerAddress,
  { address }: EnvelopeSender,
): MailParameters {
  const values = parametersAmong(mailKeywords, mailFrom)
  const smtpUtf8 = values.SMTPUTF8 === true
  if (!smtpUtf8 && !isAscii(address)) throw new SmtpRefusal(needsSmtpUtf8)
  const text = (name: string) => {
    const value = values[name]
    return typeof value === 'string' ? value : undefined
  }
  const size = text('SIZE')
  return {
    size: size === undefined ? undefined : Number(size),
    eightBit: text('BODY')?.toUpperCase() === '8BITMIME',
    smtpUtf8,
    ret: text('RET')?.toUpperCase(),
    envid: text('ENVID'),
  }
}

/** RFC 3461 §4.4, RFC 1870 §6, RFC 6152 §3, RFC 6531 §3.4. Throws `SmtpRefusal`. */
export function mailCommand(
  { address }: EnvelopeSender,
  { size, eightBit, smtpUtf8, ret, envid }: MailParameters,
  extensions: Extensions,
): string {
  if (eightBit && !extensions.has('8BITMIME')) throw new SmtpRefusal(needsEightBit)
  if (smtpUtf8 && !extensions.has('SMTPUTF8')) throw new SmtpRefusal(needsSmtpUtf8)
  let command = `MAIL FROM:<${address}>`
  if (size !== undefined && extensions.has('SIZE')) command += ` SIZE=${size}`
  if (eightBit) command += ' BODY=8BITMIME'
  if (smtpUtf8) command += ' SMTPUTF8'
  if (ret !== undefined && extensions.has('DSN')) command += ` RET=${ret}`
  if (envid !== undefined && extensions.has('DSN')) command += ` ENVID=${xtext(envid)}`
  return command
}

/** Throws `SmtpRefusal`. */
export function rcptCommand(
  rcptTo: SMTPServerAddress,
  { smtpUtf8 }: MailParameters,
  extensions: Extensions,
): string {
  parametersAmong(rcptKeywords, rcptTo)
  const { address, dsn } = rcptTo
  let command = `RCPT TO:<${recipient(address, smtpUtf8)}>`
  if (extensions.has('DSN') && dsn !== undefined) {
    if (dsn.notify !== undefined) command += ` NOTIFY=${dsn.notify.join(',')}`
    if (dsn.orcpt !== undefined) command += ` ORCPT=${originalRecipient(dsn.orcpt)}`
  }
  return command
}

/** RFC 5321 §4.5.3.1.3: octets, without the angle brackets. */
const maxPathBytes = 254
/** Dots may stand anywhere, and hosts may have underscores: such addresses get mail. What they mean is the relay's to know. */
const localPartOrAlone = /^(?:[^\s"(),:;<>@[\\\]]+|"(?:[^"\\]|\\.)*")$/u

/** smtp-server hands out U-labels for the A-labels that the client sent: they go back. */
function recipient(address: string, smtpUtf8: boolean): string {
  const isUnsafe = /[\p{Cc}\p{Cs}\s<>]/u.test(address) || Buffer.byteLength(address) > maxPathBytes
  if (isUnsafe) throw new SmtpRefusal(badRecipient)
  const at = address.lastIndexOf('@')
  // `postmaster` alone (RFC 5321 §4.5.1) has no domain.
  const localPart = at < 0 ? address : address.slice(0, at)
  const domain = address.slice(at + 1)
  const ascii = isDomainOrLiteral(domain) ? domain : normaliseDomain(domain)
  if (ascii === undefined || !localPartOrAlone.test(localPart)) throw new SmtpRefusal(badRecipient)
  const written = at < 0 ? address : `${localPart}@${ascii}`
  if (!isAscii(written) && !smtpUtf8) throw new SmtpRefusal(needsSmtpUtf8)
  return written
}

/** `addr-type;xtext`. */
function originalRecipient(orcpt: string): string {
  const semicolon = orcpt.indexOf(';')
  return `${orcpt.slice(0, semicolon + 1)}${xtext(orcpt.slice(semicolon + 1))}`
}

/** RFC 3461 §4: what is not printable, and `+` and `=`, becomes a plus sign and two hexadecimal digits. */
function xtext(text: string): string {
  return text.replace(
    /[^!-*,-<>-~]/g,
    (character) => `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

function isAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text)
}
