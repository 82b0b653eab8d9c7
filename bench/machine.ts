import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem, type } from 'node:os'
import { readVersion } from '../src/version.ts'
import { cpuMicrosOf, machineBusyMicros } from './processes/cpu.ts'

/** Where a run took place: ratios travel, figures do not. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly system: string
  readonly node: string
  readonly postern: string
  /** With `+` when files differ from it; undefined outside a clone. */
  readonly commit: string | undefined
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    system: systemName(),
    node: process.version,
    postern: readVersion(),
    commit: readCommit(),
  }
}

function systemName(): string {
  try {
    const text = readFileSync('/etc/os-release', 'utf8')
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(text)?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

function readCommit(): string | undefined {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    const isClean = git('status', '--porcelain', '--untracked-files=no') === ''
    return git('rev-parse', '--short=12', 'HEAD') + (isClean ? '' : '+')
  } catch {
    return undefined
  }
}

/**
 * Begins to watch who else uses the machine; call the answer for how many cores others have kept busy since: everything
 * that the machine spent, less what this process and all below it did.
 */
export function watchOthers(): () => number {
  const startedAt = performance.now()
  const machine = machineBusyMicros()
  const own = cpuMicrosOf([process.pid])
  return function coresOfOthers() {
    const others = machineBusyMicros() - machine - (cpuMicrosOf([process.pid]) - own)
    return Math.max(0, others) / ((performance.now() - startedAt) * 1_000)
  }
}
