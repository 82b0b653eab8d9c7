import { createRoster } from '../src/roster.ts'
import {
  connectToUpstream,
  type UpstreamCall,
  type UpstreamConnection,
} from './upstream-connection.ts'
import type { UpstreamAddress } from './upstream-socket.ts'

/** Connections to one upstream, kept for the next request after one is through. */
export interface UpstreamPool {
  /** Makes the call as soon as there is a connection for it. */
  call(call: UpstreamCall): void
  /** Nobody waits for its answer any more. */
  abandon(call: UpstreamCall): void
  /** Waits for the calls that were made. */
  close(): Promise<void>
}

/** Kept towards one upstream; calls beyond wait for a free one. */
const maxConnections = 256
const maxConnectMs = 10_000
/** A time limit is over at most so much later, or a tenth of it: one timer for all of them is cheaper than one for each. */
const maxTickMs = 1_000

export function createUpstreamPool(address: UpstreamAddress, timeoutMs: number): UpstreamPool {
  const tickMs = Math.min(maxTickMs, Math.ceil(timeoutMs / 10))
  const patience = {
    connect: Math.ceil(Math.min(timeoutMs, maxConnectMs) / tickMs),
    answer: Math.ceil(timeoutMs / tickMs),
    tickMs,
  }
  const open = createRoster<UpstreamConnection>()
  /** The youngest last. It is taken first: it is the least likely to be closed, and the others may grow old. */
  const idle: UpstreamConnection[] = []
  /** Of this turn of the event loop, and of the one before. */
  let freed: UpstreamConnection[] = []
  let rested: UpstreamConnection[] = []
  const waiting: UpstreamCall[] = []
  let isScheduled = false
  const closed = Promise.withResolvers<void>()
  let isClosing = false
  const ticking = setInterval(() => {
    for (const connection of open.all()) connection.tick()
  }, tickMs).unref()

  /** At the end of this turn of the event loop. */
  function schedule() {
    if (isScheduled) return
    isScheduled = true
    setImmediate(endTurn)
  }

  /**
   * A connection rests for a whole turn, in which the event loop looks at its socket: there may be more on it, which must not
   * be taken for the answer to the next request, or its end.
   */
  function endTurn() {
    isScheduled = false
    idle.push(...rested)
    rested = freed
    freed = []
    for (let call = waiting[0]; call !== undefined; call = waiting[0]) {
      const connection = takeIdle()
      if (connection === undefined && !mayConnect()) break
      waiting.shift()
      if (connection === undefined) connect(call)
      else start(connection, call)
    }
    if (isClosing && waiting.length === 0) closeIdle()
    // Otherwise the next call, or the next that is free, is soon enough: each turn more costs as much as a small check.
    if (rested.length > 0 && (isClosing || waiting.length > 0)) schedule()
  }

  /** One that rests is there sooner than a new one. */
  function mayConnect(): boolean {
    return open.size() < maxConnections && waiting.length > rested.length
  }

  function takeIdle(): UpstreamConnection | undefined {
    for (;;) {
      const connection = idle.pop()
      if (connection === undefined || connection.isFree()) return connection
    }
  }

  function start(connection: UpstreamConnection, call: UpstreamCall) {
    call.connection = connection
    connection.start(call)
  }

  function connect(call: UpstreamCall) {
    const connection = connectToUpstream(address, patience, { free, gone }, call)
    const leave = open.enter(connection)
    call.connection = connection

    function gone() {
      leave()
      const at = idle.indexOf(connection)
      if (at >= 0) idle.splice(at, 1)
      if (waiting.length > 0) schedule()
      finishClosing()
    }
  }

  function free(connection: UpstreamConnection) {
    freed.push(connection)
    schedule()
  }

  function closeIdle() {
    for (const connection of idle.splice(0)) connection.destroy()
  }

  function finishClosing() {
    if (!isClosing || open.size() > 0 || waiting.length > 0) return
    clearInterval(ticking)
    closed.resolve()
  }

  return {
    call(call) {
      waiting.push(call)
      schedule()
    },

    abandon(call) {
      if (call.connection !== undefined) return call.connection.destroy()
      const at = waiting.indexOf(call)
      if (at < 0) return
      waiting.splice(at, 1)
      finishClosing()
    },

    close() {
      isClosing = true
      // Ends those that are idle, and those that rest a turn later.
      schedule()
      finishClosing()
      return closed.promise
    },
  }
}
