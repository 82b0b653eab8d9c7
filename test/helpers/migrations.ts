import { globSync } from 'node:fs'
import { basename } from 'node:path'

/** The names of all migrations, in their order. */
export const migrations = globSync('src/store/migrations/*.ts')
  .map((file) => basename(file, '.ts'))
  .toSorted()
