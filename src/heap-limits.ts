import { setFlagsFromString } from 'node:v8'

/** The first V8 that knows the flag; an older one would complain of it. */
const oldestV8 = 14

/**
 * V8 marks its whole heap again whenever buffers have grown by 64 MiB since the last time: that is most of what an
 * attachment costs. Counted together with the heap, they are collected when both have grown by what the heap may.
 */
export function countBuffersWithHeap() {
  if (Number.parseInt(process.versions.v8, 10) < oldestV8) return
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
