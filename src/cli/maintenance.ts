import type { Check, LocalCommand, Operations } from './command.ts'
import { alignRows } from './table.ts'

export const maintenanceCommands: readonly LocalCommand[] = [
  {
    name: 'migrate',
    about: 'Bring the database up to date; starting the gate does it too',
    examples: ['migrate'],
    async run({ operations: { applied } }) {
      const names = applied.length === 0 ? 'nothing: it is up to date' : applied.join(', ')
      return { json: { applied }, text: `Applied ${names}` }
    },
  },
  {
    name: 'keys list',
    about: 'Show the public keys that assertions can be verified with',
    examples: ['keys list --json'],
    async run({ operations }) {
      const jwks = await operations.keyRing.jwks()
      return { json: jwks, text: JSON.stringify(jwks, null, 2) }
    },
  },
  {
    name: 'keys rotate',
    about: 'Make a new signing key; the one before stays published for a day',
    examples: ['keys rotate'],
    async run({ operations, actor }) {
      const kid = await operations.keyRing.rotate(actor)
      return { json: { kid }, text: `New signing key ${kid}` }
    },
  },
  {
    name: 'doctor',
    about: 'Check the files and upstreams of the settings, the database and the keys',
    examples: ['doctor', 'doctor --config /etc/postern/settings'],
    async run({ operations }) {
      const checks = [
        ...(await operations.checkSettings()),
        ...(await operations.store.inspect()),
        // SQLite's clock is this machine's own.
        ...(operations.store.dialect === 'sqlite' ? [] : [checkClock(operations.clock.skew())]),
        await checkKeys(operations.keyRing),
      ]
      return showChecks(checks)
    },
    unopened(error) {
      const detail = error instanceof Error ? error.message : String(error)
      return showChecks([{ name: 'start', ok: false, detail }])
    },
  },
]

function showChecks(checks: readonly Check[]) {
  const ok = checks.every((check) => check.ok)
  const rows = checks.map((check) => [verdict(check), check.name, check.detail])
  return { json: { ok, checks }, text: alignRows(rows), failed: !ok }
}

function verdict({ ok, warns = false }: Check): string {
  if (!ok) return 'BAD'
  return warns ? 'warn' : 'ok'
}

/** A gate reports the first, and is not ready with the second. */
const notableSkewMs = 1_000
const badSkewMs = 5_000

function checkClock(skewMs: number): Check {
  const apart = Math.abs(skewMs)
  const detail =
    apart <= notableSkewMs
      ? "agrees with the database's"
      : `${Math.round(skewMs)} ms ahead of the database's: is NTP running on both?`
  return { name: 'clock', ok: apart <= badSkewMs, warns: apart > notableSkewMs, detail }
}

async function checkKeys(keyRing: Operations['keyRing']): Promise<Check> {
  try {
    const { keys } = await keyRing.jwks()
    return { name: 'signing keys', ok: true, detail: `${keys.length} published` }
  } catch (error) {
    return { name: 'signing keys', ok: false, detail: String(error) }
  }
}
