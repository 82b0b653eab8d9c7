/** An ISO 8601 date or instant, as milliseconds since the Unix epoch; undefined for what is none. */
export function parseInstant(text: string): number | undefined {
  const day = /^(\d{4}-\d\d-\d\d)(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.exec(text)?.[1]
  const at = day === undefined ? Number.NaN : Date.parse(text)
  // Date.parse takes 30 February for 2 March.
  if (Number.isNaN(at) || !new Date(Date.parse(`${day}`)).toISOString().startsWith(`${day}`)) {
    return undefined
  }
  return at
}
