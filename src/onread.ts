/** Called with what has arrived on a socket: in memory that what comes next goes into as well. */
export type OnBytes = (bytes: Buffer) => void

/** The option `onread` of a socket (`net.connect`): it reads into one piece of memory, where Node makes one for each arrival. */
export function readInto(length: number, onBytes: OnBytes) {
  const buffer = Buffer.allocUnsafeSlow(length)
  function callback(arrived: number) {
    onBytes(buffer.subarray(0, arrived))
    // False would stop it.
    return true
  }
  return { buffer, callback }
}
