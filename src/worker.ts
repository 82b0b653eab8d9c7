import type { Config } from './config.ts'
import { openControlPlane, type System } from './control-plane.ts'
import { openConfiguredRedis } from './control-plane-server.ts'
import { startDataPlane } from './data-plane.ts'
import { createLimits } from './limiting.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'
import type { FromWorker, ToWorker } from './worker-messages.ts'

/** The way to the primary process, which `node:cluster` made. */
export interface PrimaryLink {
  send(message: FromWorker): void
  onMessage(listener: (message: ToWorker) => void): void
  /** Settles when there is no primary any more. */
  readonly gone: Promise<unknown>
}

/** One of several processes that take mail for one `serve`: a data plane, and a node of the fleet of its own. */
export async function startWorker(
  config: Config,
  {
    link,
    onFinish,
    ...system
  }: System & {
    readonly log: Log
    readonly link: PrimaryLink
    /** The primary wants it to end. */
    readonly onFinish: () => void
  },
) {
  const redis = await openConfiguredRedis(config, system.log)
  const controlPlane = await openControlPlane(config, {
    ...system,
    announce: () => redis?.announce(),
  })
  const metrics = createMetrics()
  const dismissed = Promise.withResolvers<void>()
  async function closeStore() {
    await controlPlane.close()
    redis?.close()
  }
  try {
    const dataPlane = await startDataPlane(
      config,
      { http: config.upstreamHttp, smtp: config.upstreamSmtp },
      {
        ...system,
        metrics,
        controlPlane,
        redis,
        limits: createLimits(config, controlPlane.clock, { ...system, redis, metrics }),
        // The primary tells where its listener is.
        issuer: config.publicAdminUrl ?? '',
        onIncarnation: (incarnation) => link.send({ type: 'node', incarnation }),
      },
    )
    link.onMessage(async (message) => {
      switch (message.type) {
        case 'finish':
          return onFinish()
        case 'leave':
          return dismissed.resolve()
        case 'report':
          return link.send({
            type: 'report',
            request: message.request,
            metrics: await metrics.snapshot(),
            trouble: dataPlane.trouble() ?? null,
          })
      }
    })
    link.send({ type: 'ready', addresses: dataPlane.addresses })
    return {
      async close() {
        await dataPlane.close()
        link.send({ type: 'closed', metrics: await metrics.snapshot() })
        await Promise.race([dismissed.promise, link.gone])
        await closeStore()
      },
    }
  } catch (error) {
    await closeStore()
    throw error
  }
}
