import type { LocalCommand } from './command.ts'
import { withReceipt } from './refusal.ts'

export const fleetCommands: readonly LocalCommand[] = [
  {
    name: 'fleet list',
    about: 'List the gates that share this database, and how far each has applied the changes',
    examples: ['fleet list'],
    async run({ operations }) {
      const nodes = await operations.store.listNodes()
      const rows = nodes.map((node) => [
        node.name,
        String(node.appliedEpoch),
        new Date(node.renewedAt).toISOString(),
        `${node.holdMs} ms`,
        node.fenced ? 'shut out' : 'member',
      ])
      return {
        json: nodes.map((node) => ({
          incarnation: node.incarnation,
          name: node.name,
          started_at: new Date(node.startedAt).toISOString(),
          renewed_at: new Date(node.renewedAt).toISOString(),
          applied_epoch: node.appliedEpoch,
          hold_ms: node.holdMs,
          fenced: node.fenced,
        })),
        text: {
          columns: ['GATE', 'EPOCH', 'RENEWED', 'HOLD', 'STATE'].map((title) => ({ title })),
          rows,
          empty: 'No gate is running: start one with "postern serve"',
        },
      }
    },
  },
  {
    name: 'fleet new-era',
    about: 'Make every gate forget what it knows: after an older copy of the database was restored',
    examples: ['fleet new-era'],
    async run({ operations, actor, clock }) {
      const { era, epoch } = await operations.store.beginEra({ actor, at: clock.now() })
      const output = { json: { era, epoch }, text: 'A new era has begun' }
      return withReceipt(output, await operations.confirm(epoch))
    },
  },
]
