import { pino } from 'pino'
import { systemClock } from './clock.ts'

/** Flat, so that a secret has nowhere to hide from `secretNames`. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>

/** One JSON object a line on standard output. What goes in is chosen at each call. */
export interface Log {
  debug(fields: LogFields): void
  info(fields: LogFields): void
  warn(fields: LogFields): void
  error(fields: LogFields): void
  /** For lines that all have these fields: they are written out once. */
  child(fields: LogFields): Log
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Lines are written when there are so many bytes of them, or after so long. */
const writeBytes = 64 * 1024
const flushMs = 100
/** SonicBoom wants more than `minLength`. */
const maxWriteBytes = 2 * writeBytes

/** Many lines are of one millisecond. */
function createTimestamp() {
  let at = 0
  let text = ''
  return function timestamp() {
    const now = systemClock.now()
    if (now !== at) text = `,"time":"${new Date(now).toISOString()}"`
    at = now
    return text
  }
}

/** Fields of these names are censored, as a second line of defence. */
const secretNames = ['token', 'password', 'authorization']
const censor = () => '[Redacted]'

/**
 * Lines wait for each other, so that not each costs a system call: a killed process loses those of the last moment. As bytes,
 * since SonicBoom measures all the text that waits again for each line that joins it.
 */
function openOutput() {
  const options = {
    sync: false,
    minLength: writeBytes,
    maxWrite: maxWriteBytes,
    periodicFlush: flushMs,
    contentMode: 'buffer' as const,
  }
  const output = pino.destination(options)
  // Its types know of text only.
  return { write: (line: string) => output.write(Buffer.from(line) as never) }
}

export function createLog(level: LogLevel, destination?: { write(line: string): void }): Log {
  const options = {
    level,
    base: null,
    timestamp: createTimestamp(),
    formatters: { level: (label: string) => ({ level: label }) },
    // pino's `redact` looks for each path again in each line: four times the cost of the line itself.
    serializers: Object.fromEntries(secretNames.map((name) => [name, censor])),
  }
  return pino(options, destination ?? openOutput())
}
