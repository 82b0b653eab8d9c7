import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseSealKey, sealKeyBytes } from './assertion/seal.ts'
import type { Random } from './random.ts'

/**
 * Reads the seal key, or makes it where `makeWith` is given. A fleet shares one file, so that with PostgreSQL it has to be
 * there: a node that made its own could not open what the others sealed. Nor may one be made for a database that is in use.
 */
export function readSealKey(
  file: string,
  {
    makeWith,
    inUse = false,
  }: {
    readonly makeWith?: Pick<Random, 'bytes'> | undefined
    /** The database holds what was sealed already. */
    readonly inUse?: boolean
  } = {},
): Uint8Array {
  if (!existsSync(file)) {
    if (inUse) {
      throw new Error(
        `POSTERN_SEAL_KEY_FILE ${file} does not exist: name the file that the gate of this database uses`,
      )
    }
    if (makeWith === undefined) {
      throw new Error(
        `POSTERN_SEAL_KEY_FILE ${file} does not exist: make it once with "openssl rand -base64 32", and give every node the same`,
      )
    }
    createKeyFile(file, Buffer.from(makeWith.bytes(sealKeyBytes)).toString('base64'))
  }
  const key = parseSealKey(readText(file))
  if (key === undefined) {
    throw new Error(`POSTERN_SEAL_KEY_FILE ${file} must hold ${sealKeyBytes} bytes in base64`)
  }
  return key
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`POSTERN_SEAL_KEY_FILE cannot be used: ${reason}`, { cause: error })
  }
}

/** The file appears whole or not at all. Of two processes that start at once one makes it, and both read that one. */
function createKeyFile(file: string, content: string) {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.${process.pid}.tmp`
  // On the disk before the database holds anything that only this key opens.
  writeFileSync(draft, `${content}\n`, { mode: 0o600, flush: true })
  try {
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(draft)
  }
}
