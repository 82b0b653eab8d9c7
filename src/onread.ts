/** Called with what has arrived on a socket. Not to be kept: what comes next is read into the same memory. */
export type OnBytes = (bytes: Buffer) => void

/** The option `onread` of `net.connect`: one piece of memory for each socket, where Node makes one for each arrival. */
export function createOnread(bufferBytes: number, onBytes: OnBytes) {
  // Not of Node's pool, which would be held for as long as the socket lives.
  const buffer = Buffer.allocUnsafeSlow(bufferBytes)
  function callback(arrived: number) {
    onBytes(buffer.subarray(0, arrived))
    // False would stop it.
    return true
  }
  return { buffer, callback }
}
