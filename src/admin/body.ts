import type { IncomingMessage } from 'node:http'

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
export async function readJsonBody(incoming: IncomingMessage): Promise<JsonBody> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of incoming) {
    size += chunk.length
    if (size > maxBodyBytes) return { ok: false, problem: 'too-large' }
    chunks.push(chunk)
  }
  try {
    const text = strictUtf8.decode(Buffer.concat(chunks))
    return { ok: true, value: text.trim() === '' ? {} : JSON.parse(text) }
  } catch {
    return { ok: false, problem: 'not-json' }
  }
}
