import type { Readable } from 'node:stream'
import type { ParseArgsOptionDescriptor } from 'node:util'
import type { Clock } from '../clock.ts'
import type { Explain } from '../service/explain.ts'
import type { ImportTokens } from '../service/import-tokens.ts'
import type { Issue } from '../service/issue.ts'
import type { FleetRegistry } from '../service/ports/fleet.ts'
import type { Actor, Confirm, Registry } from '../service/ports/registry.ts'
import type { Reset } from '../service/reset.ts'
import type { Reveal } from '../service/reveal.ts'
import type { Revoke } from '../service/revoke.ts'
import type { VerifyDomain } from '../service/verify-domain.ts'
import type { Management } from './management.ts'
import type { Table } from './table.ts'

/** What commands work with; the program hands in its control plane. */
export interface Operations {
  readonly store: Registry &
    Pick<FleetRegistry, 'listNodes' | 'readNodes' | 'beginEra'> & {
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
  readonly importTokens: ImportTokens
  /** What tokens of our own begin with. */
  readonly tokenPrefix: string
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

/** What people typed, and what every command may ask of its surroundings. */
export interface Call {
  readonly clock: Pick<Clock, 'now'>
  readonly positionals: readonly string[]
  readonly values: OptionValues
  readStandardInput(): Promise<string>
}

/** What a command that takes long has to do with whoever waits for it. */
export interface LongRun {
  /** Standard input as it comes. */
  standardInput(): Readable
  /** Takes the place of what it showed before; undefined where nobody would see it move. */
  readonly showProgress: ((text: string) => void) | undefined
  /** Aborted by the first Ctrl-C, which then does not end the process; the second one does. */
  interruption(): AbortSignal
}

export interface CommandContext extends Call {
  readonly longRun: LongRun
  readonly operations: Operations
  readonly actor: Actor
}

export interface ManagementContext extends Call {
  readonly management: Management
}

export type OptionValues = Readonly<
  Record<string, string | boolean | (string | boolean)[] | undefined>
>

/** What a command answers: one JSON value for programs, and the same for people. */
export interface Output {
  readonly json: unknown
  readonly text: string | Table
  /** The command ran, and what it found is bad: exit status 1. */
  readonly failed?: boolean
  /** It is done, but not confirmed on every node: exit status 3. */
  readonly unconfirmed?: boolean
}

/** Where people read. */
export interface Terminal {
  /** In columns. */
  readonly width: number
  bold(text: string): string
}

export interface Option extends ParseArgsOptionDescriptor {
  /** Stands for the value in `--help`. */
  readonly value?: string
  /** All that the value can be. */
  readonly values?: readonly string[]
  readonly about: string
}

interface CommandDescription {
  /** `token create`. */
  readonly name: string
  readonly about: string
  /** Names of positional arguments, all required. */
  readonly positionals?: readonly string[]
  readonly options?: Readonly<Record<string, Option>>
  /** Lines to type, after `postern`, as `--help` shows them. */
  readonly examples?: readonly string[]
}

/** About what belongs to an account: the same over the store of this machine and over the API of a gate. */
export interface ManagementCommand extends CommandDescription {
  manage(context: ManagementContext): Promise<Output>
}

/** About a gate itself: only where its database is. */
export interface LocalCommand extends CommandDescription {
  run(context: CommandContext): Promise<Output>
  /** What it answers when there is nothing to work with: left out, that is an error. */
  readonly unopened?: (error: unknown) => Output
}

/** About the program: needs no gate. */
export interface ProgramCommand extends CommandDescription {
  print(program: Program): string
}

export type Command = ManagementCommand | LocalCommand | ProgramCommand

/** Everything that can be typed: what help and completion are made of. */
export interface Program {
  readonly commands: readonly Command[]
  /** `dev` and `serve`. */
  readonly gateCommands: readonly { readonly name: string; readonly about: string }[]
  readonly commonOptions: Readonly<Record<string, Option>>
  /** Where the API is, and the token that speaks to it. */
  readonly apiFlags: readonly SettingFlag[]
  readonly settingFlags: readonly SettingFlag[]
}

/** A setting as a flag, `--database-url`, and the variable that it stands for. */
export interface SettingFlag {
  readonly flag: string
  readonly variable: string
  readonly about: string
  /** As of an option. */
  readonly value?: string
  readonly values?: readonly string[] | undefined
}

/** The call was wrong: exit status 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** The call was right, and was refused or failed: exit status 1. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
}
