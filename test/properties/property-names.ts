import { globSync, readFileSync } from 'node:fs'

/** The names of all properties, as they stand in the tests. */
export function propertyNames(): readonly string[] {
  const sources = globSync('test/properties/*.test.ts').map((file) => readFileSync(file, 'utf8'))
  return sources.flatMap((source) =>
    [...source.matchAll(/^guarantee\(\s*'([^']+)'/gm)].map(([, name = '']) => name),
  )
}
