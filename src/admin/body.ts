import type { IncomingMessage, ServerResponse } from 'node:http'

/** Room for a token with some thousands of permissions. */
const maxBodyBytes = 1024 * 1024

export type JsonBody =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly problem: 'too-large' | 'not-json' }

const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * A JSON body, whatever its type says. An empty one is an empty object: one client sends a form without fields, another
 * says JSON and sends nothing.
 */
export async function readJsonBody(
  incoming: IncomingMessage,
  outgoing: Pick<ServerResponse, 'writeContinue'>,
): Promise<JsonBody> {
  const bytes = await readBytes(incoming, outgoing)
  if (bytes === undefined) return { ok: false, problem: 'too-large' }
  try {
    const text = strictUtf8.decode(bytes)
    return { ok: true, value: text.trim() === '' ? {} : JSON.parse(text) }
  } catch {
    return { ok: false, problem: 'not-json' }
  }
}

/**
 * Undefined when there are too many. What is left is the server's to drain: `for await` would destroy the request, and a
 * client that keeps its connection would wait on it for ever.
 */
function readBytes(
  incoming: IncomingMessage,
  outgoing: Pick<ServerResponse, 'writeContinue'>,
): Promise<Buffer | undefined> {
  if (Number(incoming.headers['content-length'] ?? 0) > maxBodyBytes) {
    return Promise.resolve(undefined)
  }
  // RFC 9110 §10.1.1: now that the credential is good, the client may send.
  if (incoming.headers.expect !== undefined) outgoing.writeContinue()
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    function finish(bytes: Buffer | undefined) {
      incoming.off('data', onData).off('end', onEnd).off('close', onEnd)
      resolve(bytes)
    }
    function onData(chunk: Buffer) {
      size += chunk.length
      if (size > maxBodyBytes) return finish(undefined)
      chunks.push(chunk)
    }
    // Of a client that is gone the piece that came is read; nobody sees the answer.
    function onEnd() {
      finish(Buffer.concat(chunks))
    }
    incoming.on('data', onData).on('end', onEnd).on('close', onEnd)
    // A late error of a body that nobody reads any more must not end the process.
    incoming.on('error', () => {})
  })
}
