import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import { type Sink, type SinkOptions, startSink } from '../../src/sink/sink.ts'

export const startedAt = Date.UTC(2026, 4, 4, 12)

/** A sink on free ports with a still clock and counted ids, closed when the test ends. */
export async function startTestSink(options: Partial<SinkOptions> = {}): Promise<Sink> {
  let count = 0
  const sink = await startSink({
    httpListen: { host: '127.0.0.1', port: 0 },
    smtpListen: { host: '127.0.0.1', port: 0 },
    clock: { now: () => startedAt },
    random: { uuid: () => `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}` },
    ...options,
  })
  onTestFinished(() => sink.close())
  return sink
}

export function post(
  sink: Sink,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
) {
  return fetch(`${sink.http}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
}

export const letter = {
  from: { email: 'hello@example.com', name: 'Example Shop' },
  to: [{ email: 'a@mail.test' }],
  subject: 'A letter',
  text: 'Dear reader',
}

export interface SmtpClient {
  readonly socket: Socket
  /** The next whole reply, every line of it. */
  reply(): Promise<string>
  /** Sends one line and gives the reply. */
  say(line: string): Promise<string>
}

/** Speaks SMTP line by line, so that whole replies can be compared. The greeting has been read. */
export async function connectSmtp(sink: Sink): Promise<SmtpClient> {
  const [host, port] = sink.smtp.split(':')
  const socket = connect(Number(port), host)
  onTestFinished(() => void socket.destroy())
  const lines = linesOf(socket)

  async function reply(): Promise<string> {
    let whole = ''
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error(`the connection ended after: ${JSON.stringify(whole)}`)
      whole += `${value}\n`
      if (/^\d{3} /.test(value)) return whole.trimEnd()
    }
  }

  async function say(line: string): Promise<string> {
    socket.write(`${line}\r\n`)
    return reply()
  }

  await reply()
  return { socket, reply, say }
}

async function* linesOf(socket: Socket): AsyncGenerator<string, void, void> {
  let rest = ''
  for await (const chunk of socket) {
    const lines = `${rest}${chunk}`.split('\r\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}
