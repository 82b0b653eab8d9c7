import { type Bytes, isUtf8, maxRecordBytes, notUtf8 } from './row.ts'

export type Line =
  | { readonly line: number; readonly text: string }
  | { readonly line: number; readonly problem: string }

const lineFeed = 0x0a

/** Lines without their ends, none of them held beyond its limit. Those that are blank are left out. */
export async function* readLines(bytes: Bytes): AsyncGenerator<Line> {
  let pieces: Uint8Array[] = []
  let length = 0
  let line = 0

  function take(last: Uint8Array): Line | undefined {
    line += 1
    const tooLong = length + last.length > maxRecordBytes
    const whole = tooLong ? Buffer.alloc(0) : Buffer.concat([...pieces, last])
    pieces = []
    length = 0
    if (tooLong) return { line, problem: `it is longer than ${maxRecordBytes} bytes` }
    // The mark at the start of a file is dropped, as is the return of CRLF.
    const text = whole.toString().replace(line === 1 ? /^\uFEFF|\r$/g : /\r$/, '')
    if (text.trim() === '') return undefined
    return isUtf8(text) ? { line, text } : { line, problem: notUtf8 }
  }

  for await (const chunk of bytes) {
    let start = 0
    for (let end = chunk.indexOf(lineFeed); end >= 0; end = chunk.indexOf(lineFeed, start)) {
      const found = take(chunk.subarray(start, end))
      if (found !== undefined) yield found
      start = end + 1
    }
    length += chunk.length - start
    if (length <= maxRecordBytes) pieces.push(chunk.subarray(start))
    else pieces = []
  }
  if (length > 0) {
    const found = take(new Uint8Array())
    if (found !== undefined) yield found
  }
}
