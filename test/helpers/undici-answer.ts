import { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Client } from 'undici'

/** What undici made of the answer to one request. */
export interface UndiciAnswer {
  /** 0 while it told none. */
  readonly status: number
  readonly fields: Readonly<Record<string, string | readonly string[]>>
  /** A character for a byte. */
  readonly content: string
  readonly isWhole: boolean
  /** Whether it would have used the connection again. */
  readonly isKept: boolean
}

/** Asks through undici, over a connection in memory that answers with these pieces and is closed then. */
export async function askUndici(method: string, pieces: readonly Buffer[]): Promise<UndiciAnswer> {
  let status = 0
  let fields: UndiciAnswer['fields'] = {}
  const content: Buffer[] = []
  let isWhole = false
  let isKept = false
  const over = Promise.withResolvers<void>()
  let isAnswered = false

  async function answer() {
    for (const piece of pieces) {
      if (socket.destroyed) return
      socket.push(piece)
      await nextTurn()
    }
    // undici closes a connection that it does not keep in a later turn.
    await nextTurn()
    isKept = isWhole && !socket.destroyed
    if (!socket.destroyed) socket.push(null)
  }
  const socket = new Duplex({
    read() {},
    write(_chunk, _encoding, done) {
      if (!isAnswered) void answer().then(over.resolve, over.reject)
      isAnswered = true
      done()
    },
  })
  Object.assign(socket, { ref: () => socket, unref: () => socket })
  const client = new Client('http://upstream.test', {
    connect: (_options, callback) => queueMicrotask(() => callback(null, socket as never)),
  })
  const ended = Promise.withResolvers<void>()
  client.dispatch(
    { method: method as 'GET', path: '/', body: method === 'POST' ? 'x' : null },
    {
      onRequestStart() {},
      onResponseStart(_controller, told, headers) {
        if (told < 200) return
        status = told
        fields = headers as UndiciAnswer['fields']
      },
      onResponseData(_controller, piece) {
        content.push(Buffer.from(piece))
      },
      onResponseEnd() {
        isWhole = true
        ended.resolve()
      },
      onResponseError(_controller, error) {
        if (isAnswered) ended.resolve()
        else ended.reject(error)
      },
      onRequestUpgrade: () => ended.resolve(),
    },
  )
  await Promise.all([ended.promise, over.promise])
  await client.destroy()
  return { status, fields, content: Buffer.concat(content).toString('latin1'), isWhole, isKept }
}
