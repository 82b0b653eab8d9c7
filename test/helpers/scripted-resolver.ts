import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** A DNS server that answers what a test wants, right or wrong (RFC 1035 §4.1). */
export interface ScriptedResolver {
  readonly address: string
  /** The names that were asked for, in order. */
  readonly asked: readonly string[]
  stop(): Promise<void>
}

/** Undefined is silence. */
export type Script = (query: Buffer) => Buffer | undefined

export const responseCode = {
  formatError: 1,
  serverFailure: 2,
  nameError: 3,
  notImplemented: 4,
  refused: 5,
} as const

export async function startScriptedResolver(script: Script): Promise<ScriptedResolver> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (query, { port, address }) => {
    asked.push(nameIn(query))
    const answer = script(query)
    if (answer !== undefined) socket.send(answer, port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async stop() {
      socket.close()
      await once(socket, 'close')
    },
  }
}

export const silence: Script = () => undefined

/** The query as an answer without records. */
export function answerCode(code: number): Script {
  return (query) => {
    const answer = Buffer.from(query)
    // QR, and recursion is available.
    answer.writeUInt16BE(0x8180 | code, 2)
    return answer
  }
}

/** An answer with one TXT record for the name that was asked for. */
export function answerText(text: string): Script {
  return (query) => {
    const header = Buffer.from(query.subarray(0, 12))
    header.writeUInt16BE(0x8180, 2)
    header.writeUInt16BE(1, 6)
    header.writeUInt16BE(0, 10)
    const question = query.subarray(12, endOfName(query) + 4)
    const data = Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
    // A pointer to the name of the question, TXT, IN, no time to live, the length of what follows.
    const record = Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 0, 0, data.length])
    return Buffer.concat([header, question, record, data])
  }
}

function endOfName(query: Buffer): number {
  let at = 12
  while (query[at] !== 0 && at < query.length) at += 1 + (query[at] ?? 0)
  return at + 1
}

function nameIn(query: Buffer): string {
  const labels: string[] = []
  for (let at = 12; query[at] !== 0 && at < query.length; at += 1 + (query[at] ?? 0)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] ?? 0)))
  }
  return labels.join('.')
}
