import type { IncomingMessage } from 'node:http'

/**
 * Only JSON in UTF-8, as it is, can be checked: another charset or a compressed body would hide the sender from the gate
 * and show it to the upstream. Answers with the sentence for the client, or undefined.
 */
export function contentProblem({ rawHeaders, headers }: IncomingMessage): string | undefined {
  if (countFields(rawHeaders, 'content-type') !== 1 || !isJson(headers['content-type'] ?? '')) {
    return 'Content-Type must be application/json'
  }
  // RFC 9112 §7: Node takes the chunks off, and leaves what is in them as it came.
  const transferEncoding = headers['transfer-encoding'] ?? 'chunked'
  const encoding = headers['content-encoding'] ?? 'identity'
  if (
    encoding.trim().toLowerCase() !== 'identity' ||
    transferEncoding.trim().toLowerCase() !== 'chunked'
  ) {
    return 'A compressed body is not accepted: send it as it is'
  }
  return undefined
}

/** How often a field stands in a request, whatever its spelling. */
export function countFields(rawHeaders: readonly string[], name: string): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const spelled = rawHeaders[i]
    // Most are of another length, and need no look at their case.
    if (spelled?.length === name.length && spelled.toLowerCase() === name) count += 1
  }
  return count
}

/** RFC 8259 §8.1 and §11: JSON is UTF-8 and has no parameters, though many clients add a charset. */
function isJson(contentType: string): boolean {
  return /^application\/json[ \t]*(;[ \t]*(charset=("utf-8"|utf-8)[ \t]*)?)?$/i.test(
    contentType.trim(),
  )
}
