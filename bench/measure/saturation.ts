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
