/** One row of a file that is imported, by the names of its columns; or why it cannot be read. */
export type Row =
  | { readonly line: number; readonly cells: ReadonlyMap<string, string> }
  | {
      readonly line: number
      readonly problem: string
      /** What follows cannot be read with certainty either. */
      readonly stops?: boolean
    }

export type Bytes = AsyncIterable<Uint8Array>

/** The longest line, or record of several lines: some thousand domains, and what is held in memory. */
export const maxRecordBytes = 262_144

/** A decoder puts this for what is not UTF-8; no name or token has it by itself. */
export function isUtf8(text: string): boolean {
  return !text.includes('\uFFFD')
}

export const notUtf8 = 'it is not UTF-8'
