import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/**
 * A process of the harness, and the way to it: loaders, upstreams and floors each run in one, so that what they cost is
 * their own. Calls go over Node's channel; values are cloned.
 */
export interface Agent<Calls extends AgentCalls> {
  readonly pid: number
  /** Rejects with the agent's error, or when it has ended or takes longer than `limitMs`. */
  call<Name extends keyof Calls & string>(
    name: Name,
    argument: Parameters<Calls[Name]>[0],
    limitMs?: number,
  ): Promise<Awaited<ReturnType<Calls[Name]>>>
  stop(): Promise<void>
}

// biome-ignore lint/suspicious/noExplicitAny: what an agent takes and gives is the agent's own.
export type AgentCalls = Record<string, (argument: any) => unknown>

type Request = { readonly id: number; readonly name: string; readonly argument: unknown }
type Reply = { readonly id: number; readonly value?: unknown; readonly error?: string }

const callLimitMs = 60_000

export interface AgentOptions {
  readonly nodeArguments?: readonly string[]
  /** Instead of the Node of the harness. */
  readonly node?: string
}

/** Runs a module that calls `serveAgent` as a process of its own. */
export function startAgent<Calls extends AgentCalls>(
  module: URL,
  { nodeArguments = [], node = process.execPath }: AgentOptions = {},
): Agent<Calls> {
  const child = fork(module, {
    execPath: node,
    execArgv: [...nodeArguments],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  return {
    pid: child.pid ?? 0,
    call: createCaller(child, module.pathname) as Agent<Calls>['call'],
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
      await exited
    },
  }
}

/** Asks a process that answers as `serveAgent` does. */
export function createCaller(child: ChildProcess, name: string) {
  const waiting = new Map<number, (reply: Reply) => void>()
  let calls = 0
  child.on('message', (reply: Reply) => waiting.get(reply.id)?.(reply))
  child.once('exit', (code, signal) => {
    for (const [id, settle] of waiting) settle({ id, error: `it ended: ${signal ?? code}` })
  })
  return function ask(call: string, argument: unknown, limitMs = callLimitMs) {
    const id = calls++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const fail = (reason: string) => reject(new Error(`${name} ${call}: ${reason}`))
    const limit = setTimeout(() => fail(`no answer after ${limitMs} ms`), limitMs)
    waiting.set(id, ({ value, error }) => (error === undefined ? resolve(value) : fail(error)))
    const request: Request = { id, name: call, argument }
    child.send(request, (error) => error && fail(error.message))
    return promise.finally(() => {
      clearTimeout(limit)
      waiting.delete(id)
    })
  }
}

/** Answers calls until the harness is gone. */
export function serveAgent(calls: AgentCalls) {
  process.on('message', async ({ id, name, argument }: Request) => {
    let reply: Reply
    try {
      const call = calls[name]
      if (call === undefined) throw new Error('there is no such call')
      reply = { id, value: await call(argument) }
    } catch (error) {
      reply = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }
    }
    // The harness may be gone by now.
    process.send?.(reply, () => {})
  })
  process.on('disconnect', () => process.exit())
}
