import { importColumns } from '../../core/imported-credential.ts'
import { readCsv } from './csv.ts'
import { readHtpasswd } from './htpasswd.ts'
import { readJsonLines } from './json-lines.ts'
import { fromPostal, postalColumns } from './postal.ts'
import { type Bytes, maxRecordBytes, type Row } from './row.ts'
import { readTabSeparated } from './tab-separated.ts'

export const formats = ['csv', 'jsonl', 'postal', 'htpasswd'] as const
export type Format = (typeof formats)[number]

/** How the bytes are divided into rows; `lines` are those of a password file. */
type Container = 'csv' | 'tsv' | 'jsonl' | 'lines'

/** Other names by which the columns are known. */
const aliases: Readonly<Record<string, string>> = { digest: 'sha256', domain: 'domains' }

export interface Layout {
  readonly format: Format
  readonly container: Container
}

export type Recognised = { readonly layout: Layout } | { readonly problem: string }

/** What a file is, by its first line; `wanted` when somebody has said it. */
export function recognise(head: Buffer, wanted: Format | undefined): Recognised {
  if ((head[0] === 0xff && head[1] === 0xfe) || (head[0] === 0xfe && head[1] === 0xff)) {
    return { problem: 'it is UTF-16: save it as UTF-8' }
  }
  const [first = ''] = head
    .toString()
    .replace(/^\uFEFF/, '')
    .trimStart()
    .split(/\r?\n/, 1)
  if (wanted === 'htpasswd') return { layout: { format: wanted, container: 'lines' } }
  if (first.startsWith('[')) {
    return { problem: `it is one JSON array: "jq -c '.[]'" makes lines of it` }
  }
  if (first.startsWith('{') || wanted === 'jsonl') {
    if (wanted === 'csv') return { problem: 'it is not CSV: it begins with a brace' }
    const format = wanted ?? (isPostal(memberNames(first)) ? 'postal' : 'jsonl')
    return { layout: { format, container: 'jsonl' } }
  }
  const container = first.includes('\t') ? 'tsv' : 'csv'
  const names = first.split(container === 'tsv' ? '\t' : ',').map((name) =>
    name
      .trim()
      .replace(/^"(.*)"$/, '$1')
      .toLowerCase(),
  )
  if (wanted !== 'csv' && isPostal(names)) return { layout: { format: 'postal', container } }
  if (wanted !== 'postal' && names.some(isOurs)) return { layout: { format: 'csv', container } }
  // Its first line may be a credential, which would be taken for the header.
  if (wanted !== undefined) return { problem: 'it has no header with the names of its columns' }
  if (/^[^:,{}\s]+:[^:]/.test(first) || first.startsWith('#')) {
    return { layout: { format: 'htpasswd', container: 'lines' } }
  }
  return {
    problem: `what it is cannot be told: has it a header? Else say --format ${formats.join('|')}`,
  }
}

function isPostal(names: readonly string[]): boolean {
  return names.includes('key') && names.includes('type')
}

function isOurs(name: string): boolean {
  return (importColumns as readonly string[]).includes(aliases[name] ?? name)
}

function memberNames(text: string): string[] {
  try {
    return Object.keys(JSON.parse(text)).map((name) => name.toLowerCase())
  } catch {
    return []
  }
}

/** The rows of a file by our names for columns. A column that is neither known nor to be ignored is a problem. */
export async function* readRows(
  bytes: Bytes,
  { format, container }: Layout,
  ignored: ReadonlySet<string>,
): AsyncGenerator<Row> {
  const known: readonly string[] = format === 'postal' ? postalColumns : importColumns
  for await (const row of rowsOf(container, bytes)) {
    const checked = withKnownColumns(row, { known, ignored, hasHeader: container !== 'jsonl' })
    yield format === 'postal' ? fromPostal(checked) : checked
    // What is wrong with a header is wrong with every row.
    if ('problem' in checked && checked.stops) return
  }
}

function rowsOf(container: Container, bytes: Bytes): AsyncGenerator<Row> {
  switch (container) {
    case 'csv':
      return readCsv(bytes)
    case 'tsv':
      return readTabSeparated(bytes)
    case 'jsonl':
      return readJsonLines(bytes)
    case 'lines':
      return readHtpasswd(bytes)
  }
}

function withKnownColumns(
  row: Row,
  {
    known,
    ignored,
    hasHeader,
  }: {
    readonly known: readonly string[]
    readonly ignored: ReadonlySet<string>
    readonly hasHeader: boolean
  },
): Row {
  if ('problem' in row) return row
  const wrong = (problem: string) => ({ line: row.line, problem, stops: hasHeader })
  const cells = new Map<string, string>()
  for (const [written, cell] of row.cells) {
    if (ignored.has(written)) continue
    const name = known.includes(written) ? written : (aliases[written] ?? written)
    if (!known.includes(name)) return wrong(unknownColumn(written, known))
    if (cells.has(name)) return wrong(`the column ${name} stands there twice`)
    cells.set(name, cell)
  }
  return { line: row.line, cells }
}

/** Where a header was forgotten its place is taken by a credential: only what looks like a name is repeated. */
function unknownColumn(name: string, known: readonly string[]): string {
  const shown = /^[a-z][a-z_ ]{0,29}$/.test(name) ? `"${name}"` : 'one of its columns'
  return `${shown} is not known: --ignore it, or use ${known.join(', ')}`
}

/** The start of a file, and all of it. */
export async function peek(
  bytes: Bytes,
): Promise<{ readonly head: Buffer; readonly whole: Bytes }> {
  const source = bytes[Symbol.asyncIterator]()
  const chunks: Uint8Array[] = []
  let length = 0
  let ended = false
  // A whole first line is enough to tell; one that has no end tells as much.
  while (
    !ended &&
    length < maxRecordBytes &&
    !Buffer.concat(chunks).toString().trimStart().includes('\n')
  ) {
    const next = await source.next()
    if (next.done === true) ended = true
    else {
      chunks.push(next.value)
      length += next.value.length
    }
  }
  async function* replay() {
    yield* chunks
    if (!ended) yield* { [Symbol.asyncIterator]: () => source }
  }
  return { head: Buffer.concat(chunks), whole: replay() }
}
