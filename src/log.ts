import { type Logger, pino } from 'pino'

/**
 * One JSON object a line on standard output. What goes in is chosen at each call: names of fields that may hold a secret
 * are censored besides, as a second line of defence.
 */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevel = (typeof logLevels)[number]

/** Lines wait for each other, so that not each costs a system call: a killed process loses those of the last moment. */
const buffered = { sync: false, minLength: 4096, periodicFlush: 100 }

export function createLog(level: LogLevel, destination?: { write(line: string): void }): Log {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: ['token', 'password', 'authorization', '*.token', '*.password', '*.authorization'],
  }
  return pino(options, destination ?? pino.destination(buffered))
}
