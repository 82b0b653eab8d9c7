import { randomBytes, randomUUID } from 'node:crypto'

/** Where unpredictable values come from; tests hand in a seeded one. */
export interface Random {
  /** `length` unpredictable bytes. */
  bytes(length: number): Uint8Array
  /** A version 4 UUID (RFC 9562 §5.4). */
  uuid(): string
}

export const systemRandom: Random = {
  bytes: (length) => randomBytes(length),
  uuid: () => randomUUID(),
}
