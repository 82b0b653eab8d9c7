import { hkdfSync } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, errors } from 'jose'

/** Encrypts what only holders of the seal key may read: token copies and signing keys. */
export interface Seal {
  /** A compact JWE (RFC 7516), direct encryption with A256GCM. */
  close(plaintext: string): Promise<string>
  /** Throws `WrongSealKey` when the text was sealed under another key or was changed. */
  open(sealed: string): Promise<string>
}

export class WrongSealKey extends Error {
  constructor() {
    super('the seal key does not open this: it was sealed under another key, or was changed')
    this.name = 'WrongSealKey'
  }
}

export const sealKeyBytes = 32

/** Reads the content of a seal key file: 32 bytes in base64, surrounding white space ignored. */
export function parseSealKey(content: string): Uint8Array | undefined {
  const text = content.trim()
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined
  const key = Buffer.from(text, 'base64')
  return key.length === sealKeyBytes ? key : undefined
}

/** A key of its own for another purpose (RFC 5869): what is known of it says nothing of the seal key. */
export function deriveKey(sealKey: Uint8Array, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', sealKey, '', `postern ${purpose}`, sealKeyBytes))
}

export function createSeal(key: Uint8Array): Seal {
  const encoder = new TextEncoder()
  const decoder = new TextDecoder()
  return {
    close: (plaintext) =>
      new CompactEncrypt(encoder.encode(plaintext))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .encrypt(key),

    async open(sealed) {
      try {
        const { plaintext } = await compactDecrypt(sealed, key, {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM'],
        })
        return decoder.decode(plaintext)
      } catch (error) {
        if (error instanceof errors.JOSEError) throw new WrongSealKey()
        throw error
      }
    },
  }
}
