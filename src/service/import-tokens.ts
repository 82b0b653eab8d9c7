import type { Clock } from '../clock.ts'
import type { ImportedCredential } from '../core/imported-credential.ts'
import type { Outcome } from './confirm.ts'
import type { ImportOutcome, ImportRegistry, TokenToImport } from './ports/imports.ts'
import type { Actor, Change, Confirm } from './ports/registry.ts'

/** What stands on a line: a credential, or why there is none. */
export type ImportLine =
  | { readonly line: number; readonly credential: ImportedCredential }
  | { readonly line: number; readonly problem: string }

export type LineOutcome = { readonly line: number } & (
  | ImportOutcome
  | { readonly status: 'unreadable'; readonly problem: string }
)

interface ImportRequest {
  readonly accountId: number
  readonly lines: AsyncIterable<ImportLine>
  /** The name of the file, for the audit trail. */
  readonly source: string
  /** Only says what would be done. */
  readonly trial: boolean
  readonly actor: Actor
  /** Aborted when it is to stop: what was read is finished. `lines` may then throw. */
  readonly interrupted: AbortSignal
  /** Told in the order of the file. */
  onOutcomes(outcomes: readonly LineOutcome[]): Promise<void>
}

interface ImportDeps {
  readonly registry: ImportRegistry
  /** Undefined when no copies are kept. */
  readonly seal: ((bearerToken: string) => Promise<string>) | undefined
  readonly confirm: Confirm
  readonly clock: Pick<Clock, 'now' | 'monotonic'>
  readonly wait: (ms: number) => Promise<unknown>
}

export type ImportTokens = ReturnType<typeof createImportTokens>

/** Longer, and a change of somebody else, or the gate's own renewal, would notice the wait. */
const transactionMs = 50
/** Fewer save nothing: most of the time is that of the commit. */
const smallestBatch = 200
const largestBatch = 1_000
/** So many permissions count like a token. */
const grantsPerRow = 4

/**
 * Credentials of another program become tokens, in short transactions with pauses, so that a gate on the same database
 * goes on as if nothing were. Ended in the middle and repeated, it goes on where it was: what is there stays as it is.
 */
export function createImportTokens({ registry, seal, confirm, clock, wait }: ImportDeps) {
  /** The receipt is null when there was nothing that a node could have to learn. */
  return async function importTokens(request: ImportRequest): Promise<Outcome<null>> {
    const { lines, trial, interrupted } = request
    let batch: ImportLine[] = []
    let weight = 0
    let size = smallestBatch
    let found = false

    async function flush(): Promise<Refused | undefined> {
      const full = batch
      batch = []
      weight = 0
      const written = await write(full, request)
      if (!written.done) return written
      const { outcomes, tookMs } = written
      found ||= outcomes.some(({ status }) => isThere(status))
      await request.onOutcomes(outcomes)
      if (trial) return undefined
      size = nextBatch(size, tookMs)
      // As long as it held the others up, they have the database for themselves.
      await wait(tookMs)
      return undefined
    }

    for await (const line of untilInterrupted(lines, interrupted)) {
      batch.push(line)
      weight += weightOf(line)
      if (weight < size) continue
      const refused = await flush()
      if (refused !== undefined) return refused
    }
    const refused = batch.length === 0 ? undefined : await flush()
    if (refused !== undefined) return refused
    // Also when all was there already: whoever brought it may not have come so far.
    if (trial || !found) return { done: true, value: null, receipt: null }
    const epoch = await registry.announceImport({ at: clock.now() })
    return { done: true, value: null, receipt: await confirm(epoch) }
  }

  async function write(lines: readonly ImportLine[], request: ImportRequest): Promise<Written> {
    const credentials = lines.filter((line) => 'credential' in line)
    const prepared = await prepare(credentials, request)
    if (!prepared.done) return prepared
    const startedAt = clock.monotonic()
    const change = await ask(prepared.tokens, request, request.trial)
    if (!change.done) return change
    const tookMs = clock.monotonic() - startedAt
    const ofCredentials = change.value.values()
    const outcomes = lines.map(
      (line): LineOutcome =>
        'problem' in line
          ? { line: line.line, status: 'unreadable', problem: line.problem }
          : { line: line.line, ...(ofCredentials.next().value as ImportOutcome) },
    )
    return { done: true, outcomes, tookMs }
  }

  /** Seals what is new, outside of the transaction: that takes longer than all the rest. */
  async function prepare(lines: readonly CredentialLine[], request: ImportRequest) {
    const tokens = lines.map(({ line, credential: { bearerToken: _, ...token } }) => ({
      line,
      ...token,
      sealed: null,
    }))
    const isSealing = lines.some(({ credential }) => credential.bearerToken !== null)
    if (request.trial || seal === undefined || !isSealing) return { done: true, tokens } as const
    const known = await ask(tokens, request, true)
    if (!known.done) return known
    const sealed = await Promise.all(
      lines.map(({ credential: { bearerToken } }, i) =>
        bearerToken !== null && known.value[i]?.status === 'imported' ? seal(bearerToken) : null,
      ),
    )
    return {
      done: true,
      tokens: tokens.map((token, i) => ({ ...token, sealed: sealed[i] ?? null })),
    } as const
  }

  async function ask(
    tokens: readonly TokenToImport[],
    { accountId, source, actor }: ImportRequest,
    trial: boolean,
  ): ReturnType<ImportRegistry['importTokens']> {
    if (tokens.length === 0) return { done: true, value: [], epoch: null }
    return registry.importTokens({ accountId, source, actor, at: clock.now(), tokens, trial })
  }
}

type CredentialLine = Extract<ImportLine, { credential: unknown }>
type Refused = Extract<Change<never>, { done: false }>
type Written =
  | Refused
  | { readonly done: true; readonly outcomes: readonly LineOutcome[]; readonly tookMs: number }

/** An input that is closed by the interruption has not failed. */
async function* untilInterrupted<T>(lines: AsyncIterable<T>, interrupted: AbortSignal) {
  try {
    for await (const line of lines) {
      if (interrupted.aborted) return
      yield line
    }
  } catch (error) {
    if (!interrupted.aborted) throw error
  }
}

function isThere(status: LineOutcome['status']): boolean {
  return status === 'imported' || status === 'already-there' || status === 'different'
}

function weightOf(line: ImportLine): number {
  return 'problem' in line ? 1 : Math.max(1, line.credential.grants.length / grantsPerRow)
}

/** As many as fit into the time, judged by how many fitted just now. */
function nextBatch(size: number, tookMs: number): number {
  const fitting = Math.round((size * transactionMs) / Math.max(tookMs, 1))
  // One slow commit says little.
  return Math.min(largestBatch, Math.max(smallestBatch, Math.min(fitting, size * 2)))
}
