import type { Config } from './config.ts'
import type { ControlPlane, System } from './control-plane.ts'
import { startControlPlaneServer } from './control-plane-server.ts'
import {
  type DataPlane,
  type DataPlaneAddresses,
  startDataPlane,
  type Upstreams,
} from './data-plane.ts'
import type { Log } from './log.ts'
import { createMetrics } from './metrics.ts'

/** Where the gate can be reached, with the real ports. */
export interface Addresses extends DataPlaneAddresses {
  readonly admin: string
}

export interface Gateway {
  readonly addresses: Addresses
  readonly controlPlane: ControlPlane
  /** Stops accepting, finishes what is in flight, and lets go of everything. */
  close(): Promise<void>
}

/** Control plane and data plane in one process. Throws, with nothing left open, when a part cannot be had. */
export async function startGateway(
  config: Config,
  upstreams: Upstreams,
  system: System & { readonly log: Log },
): Promise<Gateway> {
  const metrics = createMetrics()
  let dataPlane: DataPlane | undefined
  const server = await startControlPlaneServer(config, {
    ...system,
    metrics,
    trouble: () => (dataPlane === undefined ? 'it is still starting' : dataPlane.trouble()),
  })
  const { controlPlane, redis, limits } = server
  try {
    const issuer = config.publicAdminUrl ?? server.url
    const deps = { ...system, metrics, controlPlane, redis, limits, issuer }
    const started = await startDataPlane(config, upstreams, deps)
    dataPlane = started
    return {
      addresses: { ...started.addresses, admin: server.url },
      controlPlane,
      async close() {
        await started.close()
        await server.close()
      },
    }
  } catch (error) {
    await server.close()
    throw error
  }
}
