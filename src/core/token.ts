import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'

/**
 * A bearer token is `<prefix><secret><checksum>`: a prefix by which scanners recognise a leaked one, 30 characters of
 * base62 (178 bits), and the CRC-32 of all before it in base62, so that garbage is refused without a look-up.
 */
const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const secretLength = 30
/** 62^6 > 2^32. */
const checksumLength = 6
/** No credential of any known issuer is longer; what is longer is not looked up. */
const maxTokenLength = 512

export const defaultTokenPrefix = 'pst_'

/** The stored one-way form of a token: base64url of its SHA-256, 43 characters. */
export type Digest = string

/** Makes a new token. `bytes(n)` must come from a CSPRNG. */
export function mintToken(prefix: string, bytes: (length: number) => Uint8Array): string {
  const body = prefix + randomBase62(secretLength, bytes)
  return body + checksum(body)
}

/**
 * The digest under which a token is kept. A 178-bit random secret needs no slow hash:
 * docs/decisions/0003-tokens-are-kept-as-sha-256.md.
 */
export function digestToken(token: string): Digest {
  return hash('sha256', token, 'base64url')
}

/** The last four characters, which lists show so that people can tell tokens apart. */
export function lastFour(token: string): string {
  return token.slice(-4)
}

/** A prefix must be printable and end in a character that base62 lacks, so that it can be told from the secret. */
export function isTokenPrefix(text: string): boolean {
  return /^[A-Za-z0-9_.-]{0,19}[_.-]$/.test(text)
}

/**
 * Whether a text may be a bearer token, of ours or an imported one. What carries our prefix must carry its checksum; any other
 * printable text may be imported. The form only spares look-ups.
 */
export function isWellFormed(token: string, prefix: string): boolean {
  if (token.length > maxTokenLength || !/^[\x21-\x7e]+$/.test(token)) return false
  return !token.startsWith(prefix) || hasChecksum(token, prefix)
}

function hasChecksum(token: string, prefix: string): boolean {
  if (token.length !== prefix.length + secretLength + checksumLength) return false
  const bodyLength = token.length - checksumLength
  let rest = crc32(token.slice(0, bodyLength))
  for (let at = token.length - 1; at >= bodyLength; at--) {
    if (token.charCodeAt(at) !== base62.charCodeAt(rest % 62)) return false
    rest = Math.floor(rest / 62)
  }
  return true
}

function checksum(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let i = 0; i < checksumLength; i++) {
    text = base62.charAt(rest % 62) + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/** Bytes of 248 and above are thrown away: 248 is the largest multiple of 62, so that every character is equally likely. */
function randomBase62(length: number, bytes: (length: number) => Uint8Array): string {
  let text = ''
  while (text.length < length) {
    for (const byte of bytes(length)) {
      if (byte < 248 && text.length < length) text += base62.charAt(byte % 62)
    }
  }
  return text
}
