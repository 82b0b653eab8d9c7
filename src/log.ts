import { pino } from 'pino'
import { systemClock } from './clock.ts'
import { turns } from './turns.ts'

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
 * Lines wait for each other, so that not each costs a system call: a killed process loses those of the last moment. SonicBoom
 * gets the lines of one turn of the event loop together, and as bytes: of text it measures all that waits, for each piece that
 * joins it.
 */
function openOutput() {
  const output = pino.destination({
    sync: false,
    minLength: writeBytes,
    maxWrite: maxWriteBytes,
    periodicFlush: flushMs,
    contentMode: 'buffer',
  })
  let lines = ''

  function handOver() {
    const bytes = Buffer.from(lines)
    lines = ''
    // Its types know of text only.
    if (bytes.length > 0) output.write(bytes as never)
  }
  // Before pino's own listener, which writes out what SonicBoom has. That is made little first: with more than `minLength`
  // SonicBoom would begin a write of its own, and the process end before it does.
  process.prependListener('exit', () => {
    output.flushSync()
    handOver()
  })

  return {
    write(line: string) {
      if (lines === '') turns.atEnd(handOver)
      lines += line
      if (lines.length >= writeBytes) handOver()
    },
  }
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
