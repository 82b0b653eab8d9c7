import type { SMTPServerAddress, SMTPServerEnvelope } from 'smtp-server'
import { normaliseDomain } from '../src/core/domain.ts'
import { badRecipient, needsEightBit, needsSmtpUtf8, SmtpRefusal } from './reply.ts'
import type { EnvelopeSender } from './sender.ts'

/**
 * The envelope as the upstream is told it. Every command is written anew from values that were checked, never from the
 * client's line. Extensions are passed on when the upstream has them.
 */

type Extensions = ReadonlyMap<string, string>

/** RFC 3461 §4.4, RFC 1870 §6, RFC 6152 §3, RFC 6531 §3.4. */
export function mailCommand(
  sender: EnvelopeSender,
  { args }: SMTPServerAddress,
  envelope: SMTPServerEnvelope,
  extensions: Extensions,
): string {
  const parts = [`MAIL FROM:<${sender.address}>`]
  const size = args === false ? undefined : args.SIZE
  if (typeof size === 'string' && extensions.has('SIZE')) parts.push(`SIZE=${Number(size)}`)
  if (envelope.bodyType === '8bitmime') {
    if (!extensions.has('8BITMIME')) throw new SmtpRefusal(needsEightBit)
    parts.push('BODY=8BITMIME')
  }
  if (envelope.smtpUtf8 === true) {
    if (!extensions.has('SMTPUTF8')) throw new SmtpRefusal(needsSmtpUtf8)
    parts.push('SMTPUTF8')
  } else if (!isAscii(sender.address)) {
    throw new SmtpRefusal(needsSmtpUtf8)
  }
  if (extensions.has('DSN')) {
    const { ret = null, envid = null } = envelope.dsn ?? {}
    if (ret !== null) parts.push(`RET=${ret}`)
    if (envid !== null) parts.push(`ENVID=${xtext(envid)}`)
  }
  return parts.join(' ')
}

export function rcptCommand(
  { address, dsn }: SMTPServerAddress,
  { smtpUtf8 }: SMTPServerEnvelope,
  extensions: Extensions,
): string {
  const parts = [`RCPT TO:<${recipient(address, smtpUtf8 === true)}>`]
  if (extensions.has('DSN') && dsn !== undefined) {
    if (dsn.notify !== undefined) parts.push(`NOTIFY=${dsn.notify.join(',')}`)
    if (dsn.orcpt !== undefined) parts.push(`ORCPT=${originalRecipient(dsn.orcpt)}`)
  }
  return parts.join(' ')
}

/** smtp-server hands out U-labels for the A-labels that the client sent: they go back. */
function recipient(address: string, smtpUtf8: boolean): string {
  if (/[\p{Cc}\p{Cs}\s<>]/u.test(address)) throw new SmtpRefusal(badRecipient)
  const at = address.lastIndexOf('@')
  const localPart = address.slice(0, at)
  const domain = address.slice(at + 1)
  // `postmaster` alone (RFC 5321 §4.5.1) and address literals stay as they are.
  const written = at < 0 || isAscii(domain) ? address : `${localPart}@${normaliseDomain(domain)}`
  if (written.endsWith('@undefined')) throw new SmtpRefusal(badRecipient)
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
