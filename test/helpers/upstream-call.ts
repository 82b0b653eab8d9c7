import { setImmediate as nextTurn } from 'node:timers/promises'
import { onTestFinished, vi } from 'vitest'
import { byteLength, type UpstreamCall } from '../../middleware/upstream-connection.ts'
import { createUpstreamPool } from '../../middleware/upstream-pool.ts'
import { type BareUpstream, startBareUpstream } from './bare-upstream.ts'

/** Calls to an upstream of bare sockets, and what they heard. */

export const timeoutMs = 5_000

/** From here on, time limits pass only as the test says. */
export function holdTime() {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
}

export interface Heard {
  readonly status: number
  readonly content: string
  readonly isWhole: boolean
  readonly error: Error | undefined
}

/** A call, and what it heard. */
export function createCall({
  method = 'POST',
  path = '/',
  body = [],
  isLast = false,
  mayFinish = () => true,
}: {
  method?: string
  path?: string
  body?: readonly Buffer[]
  isLast?: boolean
  mayFinish?: () => boolean
} = {}) {
  let status = 0
  let content = ''
  let isTaken = false
  const over = Promise.withResolvers<Heard>()
  const length = byteLength(body)
  const call: UpstreamCall = {
    method,
    head: `${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`,
    body,
    isLast,
    connection: undefined,
    mayFinish,
    answered(told) {
      status = told
    },
    data(piece) {
      content += piece.toString('latin1')
      return true
    },
    end(last, isBodyTaken) {
      isTaken = isBodyTaken
      content += last?.toString('latin1') ?? ''
      over.resolve({ status, content, isWhole: true, error: undefined })
    },
    fail(error) {
      over.resolve({ status, content, isWhole: false, error })
    },
  }
  return {
    ...{ call, over: over.promise },
    ...{ status: () => status, content: () => content, isTaken: () => isTaken },
  }
}

/** A whole turn of the event loop, and what is left of this one. */
export async function rest() {
  for (let turn = 0; turn < 3; turn++) await nextTurn()
}

export function createPool(upstream: Pick<BareUpstream, 'port'>) {
  const pool = createUpstreamPool({ host: '127.0.0.1', port: upstream.port }, timeoutMs)
  /** One call from beginning to end, and the rest that its connection has to have. */
  async function ask(options: Parameters<typeof createCall>[0] = {}) {
    const { call, over } = createCall(options)
    pool.call(call)
    const heard = await over
    await rest()
    return heard
  }
  return { ...pool, ask }
}

export async function startPool() {
  const upstream = await startBareUpstream()
  return { upstream, pool: createPool(upstream) }
}

export const good = { status: 200, content: '{}', isWhole: true, error: undefined }
