import { readFileSync, unwatchFile, watchFile } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { Log } from './log.ts'

export interface KeyPair {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

/** A certificate and its key, read again whenever one of the files changes. */
export interface TlsFiles {
  current(): KeyPair
  /** Calls back with each new pair; the answer stops that. */
  onChange(listener: (pair: KeyPair) => void): () => void
  close(): void
}

/** Polled, because renewal tools replace links and folders, of which file watching loses track. */
const pollMs = 2_000

/** Throws when the files cannot be read or do not belong together. */
export function openTlsFiles(certFile: string, keyFile: string, log: Log): TlsFiles {
  let pair = readPair(certFile, keyFile)
  const listeners = new Set<(pair: KeyPair) => void>()

  function reload() {
    try {
      const next = readPair(certFile, keyFile)
      if (next.cert === pair.cert && next.key === pair.key) return
      pair = next
      for (const listener of listeners) listener(pair)
      log.info({ event: 'certificate_reloaded', certFile })
    } catch (error) {
      // In the middle of a renewal one file may be new and the other old: the next look finds both.
      log.warn({ event: 'certificate_unusable', certFile, error: String(error) })
    }
  }

  const files = [certFile, keyFile]
  for (const file of files) watchFile(file, { interval: pollMs, persistent: false }, reload)
  return {
    current: () => pair,
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    close() {
      for (const file of files) unwatchFile(file, reload)
    },
  }
}

/** Throws when one cannot be read, or they do not belong together. */
export function readPair(certFile: string, keyFile: string): KeyPair {
  const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  createSecureContext(pair)
  return pair
}
