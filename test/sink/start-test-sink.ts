import { onTestFinished } from 'vitest'
import { type Sink, type SinkOptions, startSink } from '../../src/sink/sink.ts'
import { notedResponse } from '../helpers/answer-log.ts'

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

export async function post(
  sink: Sink,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
) {
  const sent = fetch(`${sink.http}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return notedResponse(await sent)
}

export const letter = {
  from: { email: 'hello@example.com', name: 'Example Shop' },
  to: [{ email: 'a@mail.test' }],
  subject: 'A letter',
  text: 'Dear reader',
}
