import type { Row } from './row.ts'

/**
 * Rows of Postal's table `credentials`, joined with the domains of their server (docs/import.md has the query):
 * https://github.com/postalserver/postal/blob/main/db/schema.rb, app/models/credential.rb.
 */
export const postalColumns = [
  'id',
  'server_id',
  'key',
  'type',
  'name',
  'options',
  'last_used_at',
  'created_at',
  'updated_at',
  'hold',
  'uuid',
  'domains',
] as const

/** The same credential by our names, or why Postern cannot take it over. */
export function fromPostal(row: Row): Row {
  if ('problem' in row) return row
  const { line, cells } = row
  const cell = (name: (typeof postalColumns)[number]) => cells.get(name) ?? ''
  const type = cell('type')
  if (type === 'SMTP-IP') {
    return { line, problem: 'an SMTP-IP credential is an address that is trusted, not a secret' }
  }
  if (type !== 'SMTP' && type !== 'API') return { line, problem: 'its type is not SMTP or API' }
  const hold = cell('hold').toLowerCase()
  if (hold === '1' || hold === 'true') {
    return { line, problem: 'Postal holds its messages back: here they would be sent' }
  }
  if (hold !== '' && hold !== '0' && hold !== 'false') {
    return { line, problem: 'hold is neither 0 nor 1' }
  }
  return {
    line,
    cells: new Map([
      ['name', cell('name')],
      ['token', cell('key')],
      ['domains', cell('domains')],
      ['created_at', instantOf(cell('created_at'))],
    ]),
  }
}

/** Rails keeps UTC, as `2024-03-01 12:00:00`. */
function instantOf(datetime: string): string {
  return /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$/.test(datetime)
    ? `${datetime.replace(' ', 'T')}Z`
    : datetime
}
