import type { IncomingMessage, ServerResponse } from 'node:http'

export type BodyRead =
  | { readonly state: 'complete'; readonly chunks: readonly Buffer[] }
  | { readonly state: 'too-large' | 'stopped' | 'aborted' }

/**
 * Reads a request's body as it arrives, counting its bytes itself.
 *
 * `onChunk` sees each piece, and says false to stop reading: what is left is the caller's to drain. `aborted` means that
 * the client is gone, and nobody is there to answer.
 */
export function readBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  limit: number,
  onChunk: (chunk: Buffer) => boolean,
): Promise<BodyRead> {
  if (Number(incoming.headers['content-length'] ?? 0) > limit) {
    return Promise.resolve({ state: 'too-large' })
  }
  // RFC 9110 §10.1.1: now that the credential is good, the client may send.
  if (incoming.headers.expect !== undefined) outgoing.writeContinue()

  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0

    function finish(read: BodyRead) {
      incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose)
      // A late error of a body that nobody reads any more must not end the process.
      incoming.on('error', ignore)
      resolve(read)
    }
    function onData(chunk: Buffer) {
      size += chunk.length
      if (size > limit) return finish({ state: 'too-large' })
      chunks.push(chunk)
      if (!onChunk(chunk)) finish({ state: 'stopped' })
    }
    function onEnd() {
      finish({ state: 'complete', chunks })
    }
    function onClose() {
      finish({ state: 'aborted' })
    }
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose)
  })
}

function ignore() {}
