import { setFlagsFromString } from 'node:v8'

/** The first V8 that these were tried with, Node 26's; an older one complains of a flag that it does not know. */
const oldestV8 = 14.6

const flags = [
  // V8 marks its whole heap again whenever buffers have grown by 64 MiB since the last time: that is most of what an
  // attachment costs. Counted together with the heap, they are collected when both have grown by what the heap may.
  '--external-memory-accounted-in-global-limit',
  // V8 makes what has survived often among the old objects at once, and decides so in the first seconds of load, when the
  // young generation is small and each request in flight survives. From then on all that a request reaches is copied and
  // kept until the next full collection, for as long as the process lives.
  '--no-allocation-site-pretenuring',
  // Between two full collections the heap may grow by twice what the first left. By its own measure V8 collected six times a second
  // while attachments came.
  '--heap-growing-percent=200',
  // After a hundred seconds without a full collection V8 makes one that gives back all the memory it can, and with it what it
  // has learnt of the shapes of objects: the next thousands of requests cost a third more. It may do so every ten minutes.
  '--memory-reducer-delay-ms=600000',
  // After so many calls the last compiler takes a function, which by V8's own measure keeps the code of the one before for some
  // seconds of full load: half of 3,000. What it makes of them is as good.
  '--invocation-count-for-turbofan=1500',
]

/** Tells V8 how a gate uses its memory, and that it runs for long. Before there is any load: what is optimized already stays as it is. */
export function tuneV8() {
  if (Number.parseFloat(process.versions.v8) < oldestV8) return
  for (const flag of flags) setFlagsFromString(flag)
}
