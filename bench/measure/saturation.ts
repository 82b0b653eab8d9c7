import { cpuMicrosOf } from '../processes/cpu.ts'

/** What a subject spent on so many units. */
export interface Saturation {
  /** CPU time of all its processes for one unit, from the operating system. */
  readonly microsPerUnit: number
  readonly units: number
  readonly unitsPerSecond: number
  /** CPU time by wall time, in cores: near the number it may use, it was what was slow. */
  readonly busyCores: number
}

/** Runs `load`, which answers how many units were done, and looks at what these processes spent meanwhile. */
export async function measureSaturation(
  pids: readonly number[],
  load: () => Promise<number>,
): Promise<Saturation> {
  const startedAt = performance.now()
  const before = cpuMicrosOf(pids)
  const units = await load()
  const micros = cpuMicrosOf(pids) - before
  const elapsedMs = performance.now() - startedAt
  return {
    microsPerUnit: micros / units,
    units,
    unitsPerSecond: (units * 1_000) / elapsedMs,
    busyCores: micros / (elapsedMs * 1_000),
  }
}

/** A subject that is still cold after so many tries is on a machine where it will stay so. */
const mostTries = 8

/**
 * Loads a subject for a while, and before its first measurement until so many units were done: on a busy machine time alone
 * compiles little.
 */
export async function warmUp(
  load: (forMs: number) => Promise<number>,
  { forMs, units }: { readonly forMs: number; readonly units: number },
) {
  let done = 0
  for (let tries = 0; tries === 0 || (done < units && tries < mostTries); tries++) {
    done += await load(forMs)
  }
}
