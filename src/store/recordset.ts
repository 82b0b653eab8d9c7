import { type RawBuilder, sql } from 'kysely'
import type { Dialect } from './schema.ts'

/**
 * Many values as one parameter. A list of parameters would be another statement for each length of it, and each stays
 * compiled: with a thousand rows that is a megabyte.
 */

/** Rows as a table, by the names and types of their columns. */
export function recordset(
  dialect: Dialect,
  rows: readonly Readonly<Record<string, string | number | null>>[],
  columns: Readonly<Record<string, 'text' | 'bigint'>>,
): RawBuilder<unknown> {
  const json = JSON.stringify(rows)
  const names = Object.keys(columns)
  if (dialect === 'postgres') {
    const types = names.map((name) => sql`${sql.ref(name)} ${sql.raw(columns[name] ?? '')}`)
    return sql`json_to_recordset(${json}::json) as given(${sql.join(types)})`
  }
  const members = names.map((name) => sql`value ->> ${sql.lit(name)} as ${sql.ref(name)}`)
  return sql`(select ${sql.join(members)} from json_each(${json}))`
}

/** `column in (…)`. */
export function isAmong(
  dialect: Dialect,
  column: string,
  values: readonly string[],
): RawBuilder<boolean> {
  return dialect === 'postgres'
    ? sql<boolean>`${sql.ref(column)} = any(${values})`
    : sql<boolean>`${sql.ref(column)} in (select value from json_each(${JSON.stringify(values)}))`
}
