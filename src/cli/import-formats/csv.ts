import type { CsvError } from 'csv-parse'
import { type Bytes, isUtf8, maxRecordBytes, notUtf8, type Row } from './row.ts'

interface CsvRecord {
  readonly line: number
  readonly cells: readonly string[]
}

/** RFC 4180, with a header. A mark at the start of the file, LF for CRLF and blank lines are taken too. */
export async function* readCsv(bytes: Bytes): AsyncGenerator<Row> {
  let header: readonly string[] | undefined
  for await (const found of readRecords(bytes)) {
    if ('problem' in found) {
      yield found
      return
    }
    const { line, cells } = found
    if (header === undefined) header = cells.map((name) => name.trim().toLowerCase())
    else yield { line, ...nameCells(header, cells) }
  }
}

/** Cells by the names of a header. */
export function nameCells(
  header: readonly string[],
  cells: readonly string[],
): { cells: Map<string, string> } | { problem: string; stops?: boolean } {
  const named = new Map(header.map((name, i) => [name, cells[i] ?? '']))
  if (named.size !== header.length) return { problem: 'a column stands there twice', stops: true }
  if (cells.length !== header.length) {
    return { problem: `it has ${cells.length} columns, and the header ${header.length}` }
  }
  if (!cells.every(isUtf8)) return { problem: notUtf8 }
  return { cells: named }
}

async function* readRecords(
  bytes: Bytes,
): AsyncGenerator<CsvRecord | Extract<Row, { problem: string }>> {
  const { parse } = await import('csv-parse')
  const records: CsvRecord[] = []
  let failure: CsvError | undefined
  /** In quotes the library takes each of CRLF for an end of line. */
  let returns = 0
  const parser = parse({
    bom: true,
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: maxRecordBytes,
    // Both, whatever the first line has: else one foreign end of line would join all that follows.
    record_delimiter: ['\r\n', '\n'],
    // Not through the stream: that forgets what it holds when an error comes.
    on_record(cells: string[], { lines }) {
      returns += countIn(cells, '\r')
      records.push({ line: lines - returns - countIn(cells, '\n'), cells })
      return null
    },
  })
  parser.on('error', (error) => {
    failure = error as CsvError
  })
  parser.resume()
  for await (const chunk of bytes) {
    await new Promise<void>((resolve) => parser.write(chunk, () => resolve()))
    yield* records.splice(0)
    if (failure !== undefined) break
  }
  if (failure === undefined) {
    await new Promise<void>((resolve) => parser.end(() => resolve()))
    yield* records.splice(0)
  }
  // After a misplaced quote nobody can say where a record begins: what looks like one may be the text of another.
  if (failure === undefined) return
  yield {
    line: Number(failure.lines ?? 0) - returns,
    problem: describe(failure),
    stops: true,
  }
}

function countIn(cells: readonly string[], character: string): number {
  return cells.reduce((sum, cell) => sum + cell.split(character).length - 1, 0)
}

/** The library's own sentences repeat what stands in the file. */
function describe({ code }: CsvError): string {
  switch (code) {
    case 'CSV_MAX_RECORD_SIZE':
      return `the record is longer than ${maxRecordBytes} bytes: is a quote not closed?`
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'the file ends inside quotes'
    case 'INVALID_OPENING_QUOTE':
    case 'CSV_INVALID_CLOSING_QUOTE':
      return 'a quote stands where none may be; inside quotes it is doubled'
    default:
      return 'it is not CSV as in RFC 4180'
  }
}
