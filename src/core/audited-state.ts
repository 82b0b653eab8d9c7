import type { Grant } from './grants.ts'

/** What the audit trail keeps of a state before or after a change, in the words of the API. */
export function auditedState(
  kept: unknown,
  resourcesOf: (grants: readonly Grant[]) => unknown,
): Record<string, unknown> | null {
  if (kept === null || typeof kept !== 'object') return null
  return Object.fromEntries(
    Object.entries(kept).map(([key, value]) => {
      if (key === 'grants') return ['resources', resourcesOf(value as readonly Grant[])]
      const isInstant = key.endsWith('At') && typeof value === 'number'
      const name = key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      return [name, isInstant ? new Date(value).toISOString() : value]
    }),
  )
}
