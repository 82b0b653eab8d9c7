import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { connect } from 'node:net'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Agent, type AgentCalls, type AgentOptions, startAgent } from './agent.ts'

/** Everything that a workload started. It is ended when the workload is, whatever way that goes. */
export interface Crew {
  /** A new empty folder, gone at the end. */
  folder(name: string): string
  agent<Calls extends AgentCalls>(module: URL, options?: AgentOptions): Agent<Calls>
  program(start: ProgramStart): Program
  /** The last that each program wrote, for whoever wants to know why something failed. */
  lastWords(): string
  /** Called at the end, the last one first. */
  atEnd(work: () => Promise<unknown> | unknown): void
  end(): Promise<void>
}

interface ProgramStart {
  readonly command: string
  readonly args: readonly string[]
  /** Where it runs, and where what it writes is kept in `output.log`. */
  readonly folder: string
  readonly env?: Record<string, string>
  /** With a channel to it, as `createCaller` needs. */
  readonly hasChannel?: boolean
}

export interface Program {
  readonly pid: number
  readonly process: ChildProcess
  /** Resolves when somebody listens on this port; rejects, with what it wrote, when it ends before. */
  untilListening(port: number): Promise<void>
  /** The same for anything else that can be asked again and again. */
  until<T>(ask: () => Promise<T | undefined> | T | undefined): Promise<T>
  stop(): Promise<void>
}

/** Under QEMU a gate takes ten times as long. */
const startLimitMs = 60_000
const stopLimitMs = 3_000
const linesKept = 5

/** Groups of processes that have to go with this one, however it ends. */
const groups = new Set<number>()
process.on('exit', () => {
  for (const pid of groups) signalGroup(pid, 'SIGKILL')
})

const crews = new Set<Crew>()
let isEnding = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, async () => {
    const status = 128 + constants.signals[signal]
    // Who asks twice does not want to wait.
    if (isEnding) process.exit(status)
    isEnding = true
    console.error('interrupted: no report is written')
    await Promise.allSettled([...crews].map((crew) => crew.end()))
    process.exit(status)
  })
}

/** Does not come back when a signal is ending the run: what that broke is no finding. */
export async function unlessInterrupted(): Promise<void> {
  if (isEnding) await new Promise<never>(() => {})
}

export function createCrew(): Crew {
  const closers: (() => Promise<unknown> | unknown)[] = []
  const logs: string[] = []
  let root: string | undefined

  function folder(name: string): string {
    if (root === undefined) {
      const made = mkdtempSync(join(tmpdir(), 'postern-bench-'))
      // Servers that give up root's rights have to get through.
      chmodSync(made, 0o755)
      closers.unshift(() => rmSync(made, { recursive: true, force: true }))
      root = made
    }
    const path = join(root, name)
    mkdirSync(path, { recursive: true })
    return path
  }

  const crew: Crew = {
    folder,
    agent<Calls extends AgentCalls>(module: URL, options?: AgentOptions) {
      const agent = startAgent<Calls>(module, options)
      closers.push(() => agent.stop())
      return agent
    },
    program(start) {
      const program = startProgram(start)
      logs.push(join(start.folder, 'output.log'))
      closers.push(() => program.stop())
      return program
    },
    lastWords: () =>
      logs
        .map(
          (log) => [log, readFileSync(log, 'utf8').trim().split('\n').slice(-linesKept)] as const,
        )
        .map(([log, lines]) => `${log}:\n  ${lines.join('\n  ')}`)
        .join('\n'),
    atEnd: (work) => void closers.push(work),
    async end() {
      crews.delete(crew)
      const errors: unknown[] = []
      for (const close of closers.splice(0).reverse()) {
        // Whatever cannot be ended, the others are.
        try {
          await close()
        } catch (error) {
          errors.push(error)
        }
      }
      if (errors.length > 0) throw new AggregateError(errors, 'not everything could be ended')
    },
  }
  crews.add(crew)
  return crew
}

function startProgram({ command, args, folder, env, hasChannel }: ProgramStart): Program {
  const log = join(folder, 'output.log')
  const output = openSync(log, 'a')
  const child = spawn(command, args, {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', HOME: folder, ...env },
    stdio: ['ignore', output, output, ...(hasChannel ? (['ipc'] as const) : [])],
    serialization: 'advanced',
    // A group of its own, so that its workers end with it.
    detached: true,
  })
  closeSync(output)
  const { pid } = child
  let failed: Error | undefined
  child.on('error', (error) => (failed = error))
  if (pid !== undefined) groups.add(pid)

  async function until<T>(ask: () => Promise<T | undefined> | T | undefined): Promise<T> {
    const giveUpAt = performance.now() + startLimitMs
    for (;;) {
      const answer = await ask()
      if (answer !== undefined) return answer
      const ended = failed !== undefined || child.exitCode !== null || child.signalCode !== null
      if (ended || performance.now() > giveUpAt) {
        const wrote = readFileSync(log, 'utf8').slice(-2_000)
        throw new Error(`${command} did not start: ${failed?.message ?? ''}\n${wrote}`)
      }
      await delay(20)
    }
  }

  return {
    pid: pid ?? 0,
    process: child,
    until,
    untilListening: async (port) => void (await until(() => isListening(port))),
    async stop() {
      if (pid === undefined) return
      if (child.exitCode === null && child.signalCode === null) {
        const exited = once(child, 'exit')
        child.kill('SIGTERM')
        await Promise.race([exited, delay(stopLimitMs, undefined, { ref: false })])
      }
      // What it left behind goes too.
      signalGroup(pid, 'SIGKILL')
      groups.delete(pid)
    },
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals) {
  try {
    process.kill(-pid, signal)
  } catch {
    // There is none left.
  }
}

function isListening(port: number): Promise<true | undefined> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(undefined))
    socket.once('close', () => resolve(undefined))
    socket.once('connect', () => socket.destroy())
  })
}
