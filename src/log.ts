import { fstatSync } from 'node:fs'
import sonicBoom from 'sonic-boom'
import { systemClock } from './clock.ts'
import { turns } from './turns.ts'

// Node finds no named exports in this CommonJS module.
const { SonicBoom } = sonicBoom

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

/** Lines are written when there are so many bytes of them, half of what a pipe takes, or after so long. */
const writeBytes = 32 * 1024
const flushMs = 100
/** SonicBoom wants more than `minLength`. */
const maxWriteBytes = 2 * writeBytes
/** Of lines that cannot be written yet; what is beyond that is lost. */
const maxWaitingBytes = 16 * 1024 * 1024
/** How often a process that ends looks whether its reader takes more. */
const maxTriesAtEnd = 20

/**
 * RFC 3339, in UTC. Many lines are of one millisecond, and more of one second: to write a date takes as long as the rest of a
 * line.
 */
function createTimestamp() {
  let at = Number.NaN
  let text = ''
  let second = Number.NaN
  let toSecond = ''
  return function timestamp() {
    const now = systemClock.now()
    if (now === at) return text
    at = now
    const ms = now % 1000
    if (now - ms !== second) {
      second = now - ms
      toSecond = `,"time":"${new Date(second).toISOString().slice(0, -'000Z'.length)}`
    }
    text = `${toSecond}${String(ms).padStart(3, '0')}Z"`
    return text
  }
}

/** A second line of defence. The names are written out: to look up a list of them in objects of many shapes costs more. */
function censored(fields: LogFields): LogFields {
  const { token, password, authorization } = fields
  if (token === undefined && password === undefined && authorization === undefined) return fields
  const copy: Record<string, LogFields[string]> = { ...fields }
  for (const name of ['token', 'password', 'authorization']) {
    if (copy[name] !== undefined) copy[name] = '[Redacted]'
  }
  return copy
}

/** What stands between the braces, with a comma before it where there is any. */
function members(fields: LogFields): string {
  const text = JSON.stringify(censored(fields))
  return text === '{}' ? '' : `,${text.slice(1, -1)}`
}

/**
 * Such an output may take a part of a write. A process that ends does not learn how much another thread has got rid of, so this
 * thread writes itself. It does not wait: to look at `process.stdout` makes pipes and sockets non-blocking.
 */
function isPipeOrSocket(): boolean {
  const output = fstatSync(process.stdout.fd)
  return output.isFIFO() || output.isSocket()
}

/**
 * Lines wait for each other, so that not each costs a system call: a killed process loses those of the last moment. SonicBoom
 * gets the lines of one turn of the event loop together, and as bytes: of text it measures all that waits, for each piece that
 * joins it.
 */
function openOutput(onLost: (bytes: number) => void): LogOutput {
  let isEnding = false
  let triesLeft = maxTriesAtEnd
  let bytesLeft = Number.POSITIVE_INFINITY
  const output = new SonicBoom({
    fd: 1,
    minLength: writeBytes,
    maxWrite: maxWriteBytes,
    maxLength: maxWaitingBytes,
    periodicFlush: flushMs,
    contentMode: 'buffer',
    sync: isPipeOrSocket(),
    /** At the end each after a tenth of a second; before, the periodic flush tries again, for which no process goes on. */
    retryEAGAIN(_error, writing, behind) {
      if (!isEnding) return false
      if (writing + behind < bytesLeft) triesLeft = maxTriesAtEnd
      bytesLeft = writing + behind
      return triesLeft-- > 0
    },
  })
  // Mail goes on when the disk is full, or nobody reads the log any more. SonicBoom keeps the lines and tries again.
  output.on('error', () => {})
  let lostBytes = 0
  output.on('drop', (bytes: Buffer) => {
    lostBytes += bytes.length
  })
  output.on('drain', tellLost)
  let lines = ''

  function tellLost() {
    const bytes = lostBytes
    lostBytes = 0
    if (bytes > 0) onLost(bytes)
  }

  function handOver() {
    const bytes = Buffer.from(lines)
    lines = ''
    // Its types know of text only.
    if (bytes.length > 0) output.write(bytes as never)
  }

  process.on('exit', () => {
    isEnding = true
    try {
      // Emptied before each: with more than `minLength` SonicBoom would leave them to a thread, and later lines could overtake them.
      output.flushSync()
      handOver()
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

/** Where nothing is written, nothing waits for the end of the process either. */
const nowhere: LogOutput = { write() {} }

/** Each line is one call of `JSON.stringify`; what its level and all lines of a child have in common is written out before. */
export function createLog(level: LogLevel, destination?: LogOutput): Log {
  const timestamp = createTimestamp()
  const output = destination ?? (level === 'silent' ? nowhere : openOutput(tellLost))
  const log = withCommon({})
  return log

  function tellLost(bytes: number) {
    log.error({ event: 'log_lost', bytes })
  }

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
}
