import sonicBoom from 'sonic-boom'
import { systemClock } from './clock.ts'
import { turns } from './turns.ts'

/** Flat, so that a secret has nowhere to hide. */
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

interface LogOutput {
  write(line: string): void
}

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Lines are written when there are so many bytes of them, or after so long. */
const writeBytes = 64 * 1024
const flushMs = 100
/** SonicBoom wants more than `minLength`. */
const maxWriteBytes = 2 * writeBytes
/** While the log's reader is slow or gone; lines beyond that are lost. */
const maxWaitingBytes = 16 * 1024 * 1024

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

/** A second line of defence. Written out, since to ask an object of no certain shape for its names takes long. */
function holdsSecret({ token, password, authorization }: LogFields): boolean {
  return token !== undefined || password !== undefined || authorization !== undefined
}

function censored(fields: LogFields): LogFields {
  const copy = { ...fields }
  for (const name of ['token', 'password', 'authorization'])
    if (name in fields) copy[name] = '[Redacted]'
  return copy
}

/** What stands between the braces, with a comma before it where there is any. */
function members(fields: LogFields): string {
  const text = JSON.stringify(holdsSecret(fields) ? censored(fields) : fields)
  return text === '{}' ? '' : `,${text.slice(1, -1)}`
}

/**
 * Lines wait for each other, so that not each costs a system call: a killed process loses those of the last moment. SonicBoom
 * gets the lines of one turn of the event loop together, and as bytes: of text it measures all that waits, for each piece that
 * joins it.
 */
function openOutput(onLost: (bytes: number) => void): LogOutput {
  // A CommonJS module, of which Node finds no names.
  const output = new sonicBoom.SonicBoom({
    fd: 1,
    minLength: writeBytes,
    maxWrite: maxWriteBytes,
    maxLength: maxWaitingBytes,
    periodicFlush: flushMs,
    contentMode: 'buffer',
  })
  // Mail goes on when the disk is full, or nobody reads the log any more. SonicBoom tries again with the next lines.
  output.on('error', () => {})
  let lostBytes = 0
  output.on('drop', (bytes: Buffer) => {
    lostBytes += bytes.length
  })
  output.on('drain', tellLost)
  let lines = ''

  function tellLost() {
    if (lostBytes > 0) onLost(lostBytes)
    lostBytes = 0
  }

  function handOver() {
    const bytes = Buffer.from(lines)
    lines = ''
    // Its types know of text only.
    if (bytes.length > 0) output.write(bytes as never)
  }

  process.on('exit', () => {
    try {
      // Made little first: with more than `minLength` SonicBoom would begin a write of its own, and the process end before it does.
      output.flushSync()
      tellLost()
      handOver()
      output.flushSync()
    } catch {
      // There is nowhere to say it.
    }
  })

  return {
    write(line: string) {
      if (lines === '') turns.atEnd(handOver)
      lines += line
      if (lines.length >= writeBytes) handOver()
    },
  }
}

/** Each line is one call of `JSON.stringify`; what its level and all lines of a child have in common is written out before. */
export function createLog(level: LogLevel, destination?: LogOutput): Log {
  const timestamp = createTimestamp()
  const output = destination ?? openOutput((bytes) => log.warn({ event: 'log_lost', bytes }))

  function withCommon(common: LogFields): Log {
    const commonMembers = members(common)
    function writer(of: LogLevel) {
      if (logLevels.indexOf(of) < logLevels.indexOf(level)) return () => {}
      const begin = `{"level":"${of}"`
      return (fields: LogFields) =>
        output.write(`${begin}${timestamp()}${commonMembers}${members(fields)}}\n`)
    }
    return {
      debug: writer('debug'),
      info: writer('info'),
      warn: writer('warn'),
      error: writer('error'),
      child: (fields) => withCommon({ ...common, ...fields }),
    }
  }
  const log = withCommon({})
  return log
}
