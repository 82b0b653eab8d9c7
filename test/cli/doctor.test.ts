import { expect, test } from 'vitest'
import type { CommandContext } from '../../src/cli/command.ts'
import { maintenanceCommands } from '../../src/cli/maintenance.ts'

/** `doctor` over a control plane that says what it is told to. */
async function runDoctor(skewMs: number, checks: readonly object[] = []) {
  const doctor = maintenanceCommands.find(({ name }) => name === 'doctor')
  const operations = {
    checkSettings: async () => [],
    store: { dialect: 'postgres', inspect: async () => checks },
    clock: { skew: () => skewMs },
    keyRing: { jwks: async () => ({ keys: [] }) },
  }
  const output = await doctor?.run({ operations } as unknown as CommandContext)
  return { failed: output?.failed, text: output?.text ?? '' }
}

test.each([
  [0, 'ok', false],
  [-1_000, 'ok', false],
  [1_001, 'warn', false],
  [-5_000, 'warn', false],
  [5_001, 'BAD', true],
])('a clock that is %i ms ahead is %s', async (skewMs, verdict, failed) => {
  const output = await runDoctor(skewMs)
  expect(output.text).toMatch(new RegExp(`^${verdict} +clock `, 'm'))
  expect(output.failed).toBe(failed)
})

test('what only warns does not fail', async () => {
  const output = await runDoctor(0, [
    { name: 'synchronous standby', ok: true, warns: true, detail: 'none' },
  ])
  expect(output.text).toMatch(/^warn +synchronous standby +none$/m)
  expect(output.failed).toBe(false)
})
