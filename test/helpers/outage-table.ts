import { readFileSync } from 'node:fs'

/** What stands in a row of the outage table of docs/operations.md: the tests take their names from it. */
export interface OutageRow {
  readonly gone: string
  readonly http: string
  readonly smtp: string
  readonly control: string
}

const head = '| What is gone | HTTP | SMTP | Control plane |'

export function readOutageTable(): OutageRow[] {
  const lines = readFileSync('docs/operations.md', 'utf8').split('\n')
  const start = lines.indexOf(head)
  if (start < 0) throw new Error(`docs/operations.md has no table that begins "${head}"`)
  const end = lines.findIndex((line, i) => i > start && !line.startsWith('|'))
  return lines.slice(start + 2, end).map((line) => {
    const [, gone = '', http = '', smtp = '', control = ''] = line
      .split('|')
      .map((cell) => cell.trim())
    return { gone, http, smtp, control }
  })
}

/** The row of one outage; there is no test of an outage that the page does not tell of. */
export function outageRow(gone: string): OutageRow {
  const row = readOutageTable().find((candidate) => candidate.gone === gone)
  if (row === undefined) throw new Error(`docs/operations.md has no row "${gone}"`)
  return row
}
