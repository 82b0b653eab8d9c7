import type { Command } from './command.ts'
import { withReceipt } from './refusal.ts'
import { table } from './render.ts'

export const fleetCommands: readonly Command[] = [
  {
    name: 'fleet list',
    about: 'List the gates that share this database, and how far each has applied the changes',
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
        text: table([['GATE', 'EPOCH', 'RENEWED', 'HOLD', 'STATE'], ...rows]),
      }
    },
  },
  {
    name: 'fleet new-era',
    about: 'Make every gate forget what it knows: after an older copy of the database was restored',
    async run({ operations }) {
      const { era, epoch } = await operations.store.beginEra()
      const output = { json: { era, epoch }, text: 'A new era has begun' }
      return withReceipt(output, await operations.confirm(epoch))
    },
  },
]
