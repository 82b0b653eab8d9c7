import { defineConfig } from 'vitest/config'

const all = ['test/**/*.test.ts']
/** No lease is waited out there: two files at a time take half as long. */
const undisturbed = [
  'test/{admin,assertion,bench,cli,conformance,core,docs,fleet,http,hygiene,limits}/**/*.test.ts',
  'test/{properties,service,simulation,sink,smtp,vendor}/**/*.test.ts',
  'test/e2e/{domain-proof,first-run,import,limits}.test.ts',
  'test/contract/{last-token,postgres}.test.ts',
  'test/log.test.ts',
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
        test: {
          name: 'undisturbed',
          include: undisturbed,
          maxWorkers: 2,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        // Servers are stopped, leases waited out: one after the other, so that none is late for want of a processor.
        test: {
          name: 'one by one',
          include: all,
          exclude: undisturbed,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
