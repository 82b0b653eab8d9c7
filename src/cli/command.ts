import type { ParseArgsOptionDescriptor } from 'node:util'
import type { Clock } from '../clock.ts'
import type { Explain } from '../service/explain.ts'
import type { Issue } from '../service/issue.ts'
import type { Actor, Confirm, FleetRegistry, Registry } from '../service/ports.ts'
import type { Reset } from '../service/reset.ts'
import type { Reveal } from '../service/reveal.ts'
import type { Revoke } from '../service/revoke.ts'
import type { VerifyDomain } from '../service/verify-domain.ts'

/** What commands work with; the program hands in its control plane. */
export interface Operations {
  readonly store: Registry &
    Pick<FleetRegistry, 'listNodes' | 'beginEra'> & {
      readonly dialect: string
      inspect(): Promise<readonly Check[]>
    }
  checkSettings(): Promise<readonly Check[]>
  /** Names of the migrations that were applied when the store was opened. */
  readonly applied: readonly string[]
  readonly issue: Issue
  readonly reset: Reset
  readonly revoke: Revoke
  readonly reveal: Reveal
  readonly verify: VerifyDomain
  readonly explain: Explain
  readonly confirm: Confirm
  /** Milliseconds by which this machine's clock is ahead of the database's. */
  readonly clock: { skew(): number }
  readonly keyRing: {
    rotate(actor: Actor): Promise<string>
    jwks(): Promise<{ readonly keys: readonly object[] }>
  }
}

/** One line of what `postern doctor` finds. */
export interface Check {
  readonly name: string
  readonly ok: boolean
  /** It works, and an operator should know what it does not promise. */
  readonly warns?: boolean
  readonly detail: string
}

export interface CommandContext {
  readonly operations: Operations
  readonly actor: Actor
  readonly clock: Pick<Clock, 'now'>
  readonly positionals: readonly string[]
  readonly values: OptionValues
  readStandardInput(): Promise<string>
}

export type OptionValues = Readonly<
  Record<string, string | boolean | (string | boolean)[] | undefined>
>

/** What a command answers: one JSON value for programs, and the same for people. */
export interface Output {
  readonly json: unknown
  readonly text: string
  /** The command ran, and what it found is bad: exit status 1. */
  readonly failed?: boolean
  /** It is done, but not confirmed on every node: exit status 3. */
  readonly unconfirmed?: boolean
}

export interface Option extends ParseArgsOptionDescriptor {
  /** Stands for the value in `--help`. */
  readonly value?: string
  readonly about: string
}

export interface Command {
  /** `token create`. */
  readonly name: string
  readonly about: string
  /** Names of positional arguments, all required. */
  readonly positionals?: readonly string[]
  readonly options?: Readonly<Record<string, Option>>
  run(context: CommandContext): Promise<Output>
  /** What it answers when there is nothing to work with: left out, that is an error. */
  readonly unopened?: (error: unknown) => Output
}

/** The call was wrong: exit status 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** The call was right, and was refused or failed: exit status 1. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
}
