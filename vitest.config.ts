import { defineConfig } from 'vitest/config'

const all = ['test/**/*.test.ts']
/** Gates are stopped there, and leases waited out: one file after the other, so that none is late for want of a processor. */
const timed = [
  'test/{cache,chaos}/**/*.test.ts',
  'test/e2e/{failover,fleet,outage*,workers}.test.ts',
  'test/worker-process.test.ts',
]

export default defineConfig({
  test: {
    // Node's own loader runs the tests as it runs the program, so that syntax which cannot be stripped fails here too.
    experimental: { viteModuleRunner: false },
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        // For a third of their time they wait: three of them keep two processors busy.
        test: {
          name: 'side by side',
          include: all,
          exclude: timed,
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'one by one', include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
