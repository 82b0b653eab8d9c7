import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'

/**
 * Is the token of this Authorization field alive? Digests in memory, as a cache that always hits; nothing of it is ever
 * looked up again, and no domain is compared.
 */
export function createTokenCheck(file) {
  const digests = new Set(JSON.parse(readFileSync(file, 'utf8')))
  return function isAlive(authorization = '') {
    const match = /^bearer +(.+)$/i.exec(authorization)
    return match !== null && digests.has(hash('sha256', match[1], 'base64'))
  }
}
