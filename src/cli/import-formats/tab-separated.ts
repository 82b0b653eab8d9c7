import { nameCells } from './csv.ts'
import { readLines } from './lines.ts'
import type { Bytes, Row } from './row.ts'

/**
 * What `mysql --batch` writes: a header, cells between tabs, NULL for what is not there, and a backslash before what
 * would else end a cell (https://dev.mysql.com/doc/refman/8.4/en/mysql-command-options.html#option_mysql_batch).
 */
export async function* readTabSeparated(bytes: Bytes): AsyncGenerator<Row> {
  let header: readonly string[] | undefined
  for await (const found of readLines(bytes)) {
    if ('problem' in found) {
      yield header === undefined ? { ...found, stops: true } : found
      if (header === undefined) return
      continue
    }
    const cells = found.text.split('\t')
    if (header === undefined) header = cells.map((name) => name.trim().toLowerCase())
    else yield { line: found.line, ...nameCells(header, cells.map(unescapeCell)) }
  }
}

const escaped: Readonly<Record<string, string>> = { n: '\n', t: '\t', '0': '\0', '\\': '\\' }

function unescapeCell(cell: string): string {
  if (cell === 'NULL') return ''
  return cell.replace(/\\([nt0\\])/g, (_, letter: string) => escaped[letter] ?? letter)
}
