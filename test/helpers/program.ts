import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, watch } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type CommandLine, createCommandLine, settingsIn } from './command-line.ts'

const program = resolve('src/postern.js')
/** The program is started hundreds of times, each of which would compile it anew. */
const compileCache = resolve('node_modules/.cache/postern-compiled')

export interface CommandResult {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** An empty folder with its own database, and `postern` run in it as a user runs it. */
export interface Workplace {
  readonly folder: string
  readonly environment: Record<string, string>
  /** Runs one command line to its end. */
  postern(...args: string[]): Promise<CommandResult>
  /** The same with `--json`; the parsed answer. Throws when the exit status is not 0. */
  jsonOfProcess(...args: string[]): Promise<any>
  /** The same in this process, over the same database, by nobody in particular: most tests need only what it answers. */
  json(...args: string[]): Promise<any>
  /** Starts `postern dev` or `serve`, and waits until everything listens. */
  start(mode: 'dev' | 'serve', settings?: Record<string, string>): Promise<RunningProgram>
  remove(): Promise<void>
}

export interface RunningProgram {
  readonly ready: {
    readonly http: string
    readonly smtp: string
    readonly smtps: string
    readonly admin: string
    readonly pid: number
    readonly workers?: readonly number[]
    readonly token: string
    readonly domain: string
    readonly sink: { readonly http: string; readonly smtp: string; readonly page: string }
  }
  readonly process: ChildProcess
  /** Everything it has written so far. */
  output(): string
  /** Ends it by SIGTERM; answers its exit status. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
}

const anyPorts = {
  POSTERN_HTTP_LISTEN: '127.0.0.1:0',
  POSTERN_SMTP_LISTEN: '127.0.0.1:0',
  POSTERN_ADMIN_LISTEN: '127.0.0.1:0',
}

export function createWorkplace(settings: Record<string, string> = {}): Workplace {
  const folder = mkdtempSync(join(tmpdir(), 'postern-test-'))
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: folder,
    NODE_COMPILE_CACHE: compileCache,
    // Tests ask more often than people do.
    POSTERN_TOKEN_RATE: 'off',
    POSTERN_AUTH_FAILURE_LIMIT: 'off',
    ...settings,
  }
  const running: RunningProgram[] = []
  let starts = 0

  function postern(...args: string[]): Promise<CommandResult> {
    return runProgram(process.execPath, [program, ...args], { cwd: folder, env: environment })
  }

  return {
    folder,
    environment,
    postern,
    jsonOfProcess: (...args) => answerOf(postern, args),
    json: (...args) => answerOf(createCommandLine({ ...settingsIn(folder), ...environment }), args),
    async start(mode, more = {}) {
      const readyFile = join(folder, `ready-${starts++}.json`)
      const child = spawn(process.execPath, [program, mode], {
        cwd: folder,
        env: { ...anyPorts, ...environment, ...more, POSTERN_READY_FILE: readyFile },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      child.stdout.on('data', (chunk) => (output += chunk))
      child.stderr.on('data', (chunk) => (output += chunk))
      const exited = once(child, 'exit')
      const started: RunningProgram = {
        ready: await waitForFile(folder, readyFile, exited, () => output),
        process: child,
        output: () => output,
        async stop(signal = 'SIGTERM') {
          if (child.exitCode === null && child.signalCode === null) child.kill(signal)
          const [code] = await exited
          return code
        },
      }
      running.push(started)
      return started
    },
    async remove() {
      await Promise.all(running.map((program) => program.stop('SIGKILL')))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What a command has answered with `--json`. */
async function answerOf(command: CommandLine, args: readonly string[]): Promise<any> {
  const { status, stdout, stderr } = await command(...args, '--json')
  if (status !== 0) throw new Error(`postern ${args.join(' ')}: ${status}: ${stderr}`)
  return JSON.parse(stdout)
}

/** Runs any program to its end. */
export function runProgram(
  file: string,
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; input?: string } = {},
): Promise<CommandResult> {
  return new Promise((resolve) => {
    const { input, ...rest } = options
    const child = execFile(file, args, { ...rest, timeout: 30_000 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
      resolve({ status, stdout, stderr })
    })
    // A program may end before it has read its input, or without reading it.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}

/** The file appears whole or not at all; a program that ends instead has failed. */
async function waitForFile(
  folder: string,
  file: string,
  exited: Promise<unknown[]>,
  output: () => string,
) {
  const watcher = watch(folder)
  const read = () => {
    try {
      return JSON.parse(readFileSync(file, 'utf8'))
    } catch {
      return undefined
    }
  }
  const appeared = new Promise((resolve) => {
    const look = () => {
      const content = read()
      if (content !== undefined) resolve(content)
    }
    watcher.on('change', look)
    look()
  })
  const ended = exited.then(([code]) => {
    throw new Error(`the program ended with ${code}: ${output()}`)
  })
  try {
    return (await Promise.race([appeared, ended])) as RunningProgram['ready']
  } finally {
    watcher.close()
    ended.catch(() => {})
  }
}
