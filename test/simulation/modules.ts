import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createRedisCache } from '../../src/cache/redis-cache.ts'
import { createConfirmation } from '../../src/fleet/confirmation.ts'
import { createDatabaseClock } from '../../src/fleet/database-clock.ts'
import { joinFleet } from '../../src/membership.ts'
import { confirmed } from '../../src/service/confirm.ts'

/** What is under test, and brings everything else with it. */
export const realModules = {
  joinFleet,
  createConfirmation,
  createDatabaseClock,
  createRedisCache,
  confirmed,
}
export type Modules = typeof realModules

/** In which file, what, by what. */
export type Edit = readonly [file: string, from: string, to: string]

export interface EditedModules {
  readonly modules: Modules
  remove(): Promise<void>
}

/** The program's own source with these edits. Throws when there is nothing to edit: then the edit is out of date. */
export async function loadEdited(edits: readonly Edit[]): Promise<EditedModules> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-edited-'))
  cpSync(resolve('src'), join(folder, 'src'), { recursive: true })
  cpSync(resolve('package.json'), join(folder, 'package.json'))
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
  for (const [file, from, to] of edits) {
    const path = join(folder, 'src', file)
    const source = readFileSync(path, 'utf8')
    if (!source.includes(from)) throw new Error(`${file} has no longer: ${from}`)
    writeFileSync(
      path,
      source.replace(from, () => to),
    )
  }
  const load = (file: string) => import(join(folder, 'src', file))
  const [membership, confirmation, databaseClock, redisCache, confirm] = await Promise.all([
    load('membership.ts'),
    load('fleet/confirmation.ts'),
    load('fleet/database-clock.ts'),
    load('cache/redis-cache.ts'),
    load('service/confirm.ts'),
  ])
  return {
    modules: { ...membership, ...confirmation, ...databaseClock, ...redisCache, ...confirm },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
