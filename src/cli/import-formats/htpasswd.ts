import { readLines } from './lines.ts'
import type { Bytes, Row } from './row.ts'

/**
 * `user:secret`, and what follows a second colon is a comment. An SMTP or HTTP client that has used the secret as its
 * password may go on with it as its token; but only what it sends can be recognised, so that of hashes none but a plain
 * SHA-256 is of use.
 */
export async function* readHtpasswd(bytes: Bytes): AsyncGenerator<Row> {
  for await (const found of readLines(bytes)) {
    if ('problem' in found) yield found
    else if (!found.text.startsWith('#')) yield { line: found.line, ...readEntry(found.text) }
  }
}

function readEntry(text: string): { cells: Map<string, string> } | { problem: string } {
  const [user, written] = text.split(':')
  if (user === undefined || user === '' || written === undefined || written === '') {
    return { problem: 'it is not USER:SECRET' }
  }
  const secret = readSecret(written)
  return 'problem' in secret ? secret : { cells: new Map([['name', user], secret.cell]) }
}

/** https://httpd.apache.org/docs/2.4/misc/password_encryptions.html, crypt(5), https://doc.dovecot.org/main/core/config/auth/schemes.html */
function readSecret(written: string): { cell: [string, string] } | { problem: string } {
  const scheme = /^\{([A-Za-z0-9.-]+)\}(.*)$/.exec(written)
  if (scheme !== null) return readScheme(scheme[1]?.toUpperCase() ?? '', scheme[2] ?? '')
  if (/^\$[a-z0-9-]+\$/i.test(written)) return unusable('a salted hash')
  if (/^[./0-9A-Za-z]{13}$/.test(written)) return unusable('a hash of crypt(3), or too short')
  return { cell: ['token', written] }
}

function readScheme(name: string, rest: string): ReturnType<typeof readSecret> {
  switch (name) {
    case 'PLAIN':
    case 'CLEAR':
    case 'CLEARTEXT':
      return { cell: ['token', rest] }
    case 'SHA256':
    case 'SHA256.B64':
    case 'SHA256.BASE64':
    case 'SHA256.HEX':
      return { cell: ['sha256', rest] }
    case 'SHA':
    case 'SHA1':
      return unusable('a SHA-1, and tokens are kept as SHA-256')
    default:
      return unusable('a hash of another kind than plain SHA-256')
  }
}

function unusable(what: string) {
  return { problem: `the password is ${what}: give this client a new token` }
}
