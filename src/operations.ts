import { checkSettings } from './check-settings.ts'
import type { Operations } from './cli/command.ts'
import type { Config } from './config.ts'
import { openControlPlane, type System } from './control-plane.ts'
import { createLog, type Log } from './log.ts'
import { announceOnce } from './redis.ts'
import { readRedisCa } from './setting-files.ts'
import type { RedisTarget } from './setting-parsers.ts'

/** What one command works with, over the store itself. Closing it waits until Redis has been told of what the command changed. */
export async function openOperations(
  config: Config,
  { log, ...system }: System & { readonly log: Pick<Log, 'warn'> },
): Promise<Operations & { close(): Promise<void> }> {
  const { redisUrl, redisCa } = config
  const announced: Promise<void>[] = []

  /** The change is made, and the database tells of it too: nothing here may make it look as if it had failed. */
  async function tellRedis(target: RedisTarget) {
    try {
      await announceOnce(target, { ca: readRedisCa(redisCa), log: createLog('silent') })
    } catch (error) {
      log.warn({ event: 'announce_failed', error: String(error) })
    }
  }
  const controlPlane = await openControlPlane(config, {
    ...system,
    log,
    announce() {
      if (redisUrl !== undefined) announced.push(tellRedis(redisUrl))
    },
  })
  return {
    ...controlPlane,
    checkSettings: () => checkSettings(config),
    async close() {
      await Promise.all(announced)
      await controlPlane.close()
    },
  }
}
