import { renameSync, writeFileSync } from 'node:fs'

/** Tells whoever waits for it that everything listens: whole or not at all. */
export function writeReadyFile(file: string, content: Readonly<Record<string, unknown>>) {
  const draft = `${file}.${process.pid}.tmp`
  try {
    writeFileSync(draft, `${JSON.stringify(content)}\n`, { mode: 0o600 })
    renameSync(draft, file)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(`POSTERN_READY_FILE cannot be written: ${reason}`, { cause: error })
  }
}
