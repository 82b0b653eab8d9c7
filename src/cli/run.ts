import { parseArgs } from 'node:util'
import type { Clock } from '../clock.ts'
import { nameProblem } from '../core/token-name.ts'
import type { Actor } from '../service/ports.ts'
import { accountCommands } from './account.ts'
import {
  type Command,
  type Operations,
  type Option,
  type OptionValues,
  type Output,
  UsageError,
} from './command.ts'
import { domainCommands } from './domain.ts'
import { explainCommand } from './explain.ts'
import { fleetCommands } from './fleet.ts'
import { commandHelp, programHelp } from './help.ts'
import { maintenanceCommands } from './maintenance.ts'
import { tokenCommands } from './token.ts'

/** A setting as a flag, `--database-url`, and the variable that it stands for. */
export interface SettingFlag {
  readonly flag: string
  readonly variable: string
  readonly about: string
}

/** What the program does for the command line: everything that is not an answer to a question. */
export interface CliHost {
  readonly version: string
  readonly operator: string
  readonly settingFlags: readonly SettingFlag[]
  readonly clock: Pick<Clock, 'now'>
  readStandardInput(): Promise<string>
  out(text: string): void
  err(text: string): void
  /** Opens the store with the settings given as flags, by variable name; throws with every problem at once. */
  open(flags: SettingValues): Promise<Operations & { close(): Promise<void> }>
  /** Runs a gate until it is told to stop; answers the exit status. */
  run(mode: 'dev' | 'serve', flags: SettingValues): Promise<number>
}

export type SettingValues = Readonly<Record<string, string>>

const exitStatus = { done: 0, failed: 1, usage: 2, unconfirmed: 3 } as const

export const commands: readonly Command[] = [
  ...accountCommands,
  ...domainCommands,
  ...tokenCommands,
  explainCommand,
  ...fleetCommands,
  ...maintenanceCommands,
]

const runCommands = ['dev', 'serve'] as const

const commonOptions = {
  json: { type: 'boolean', about: 'print one JSON value' },
  help: { type: 'boolean', short: 'h', about: 'show this help' },
  as: { type: 'string', value: 'NAME', about: 'who asks, for the audit trail' },
  config: { type: 'string', value: 'FILE', about: 'settings as NAME=value lines' },
} as const satisfies Record<string, Option>

/** Runs one command line; answers the exit status. */
export async function runCli(args: readonly string[], host: CliHost): Promise<number> {
  try {
    return await dispatch(args, host)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    host.err(`postern: ${message}`)
    if (!(error instanceof UsageError)) return exitStatus.failed
    host.err('Try "postern --help".')
    return exitStatus.usage
  }
}

async function dispatch(args: readonly string[], host: CliHost): Promise<number> {
  if (args.includes('--version')) {
    host.out(host.version)
    return exitStatus.done
  }
  const mode = runCommands.find((name) => name === args[0])
  if (mode !== undefined) return runGate(mode, args.slice(1), host)

  const command = findCommand(args)
  if (command === undefined) return showGroup(args, host)

  const words = command.name.split(' ').length
  const { values, positionals } = parse(args.slice(words), command.options ?? {}, host)
  if (values.help === true) {
    host.out(commandHelp(command, commonOptions))
    return exitStatus.done
  }
  const expected = command.positionals ?? []
  if (positionals.length !== expected.length) {
    throw new UsageError(`usage: postern ${[command.name, ...expected].join(' ')} [options]`)
  }
  const actor: Actor = { name: operatorName(values, host), origin: 'cli' }
  function show(output: Output): number {
    host.out(values.json === true ? JSON.stringify(output.json) : output.text)
    if (output.failed === true) return exitStatus.failed
    return output.unconfirmed === true ? exitStatus.unconfirmed : exitStatus.done
  }
  const settings = settingValues(values, host)
  let operations: Awaited<ReturnType<CliHost['open']>>
  try {
    operations = await host.open(settings)
  } catch (error) {
    if (command.unopened === undefined) throw error
    return show(command.unopened(error))
  }
  try {
    const { readStandardInput, clock } = host
    const context = { operations, actor, clock, positionals, values, readStandardInput }
    return show(await command.run(context))
  } finally {
    await operations.close()
  }
}

async function runGate(mode: 'dev' | 'serve', args: readonly string[], host: CliHost) {
  const { values, positionals } = parse(args, {}, host)
  if (values.help === true) {
    host.out(programHelp(commands, host.settingFlags))
    return exitStatus.done
  }
  if (positionals.length > 0) throw new UsageError(`postern ${mode} takes no "${positionals[0]}"`)
  return host.run(mode, settingValues(values, host))
}

/** The command that the first words name, whatever options stand before its arguments. */
function findCommand(args: readonly string[]): Command | undefined {
  return commands.find((command) => {
    const words = command.name.split(' ')
    return words.every((word, i) => args[i] === word)
  })
}

/** `postern`, `postern --help`, `postern token --help`, or a word that is none. */
function showGroup(args: readonly string[], host: CliHost): number {
  const [word] = args
  const group = commands.filter(({ name }) => name.split(' ')[0] === word)
  const wantsHelp = args.length === 0 || args.includes('--help') || args.includes('-h')
  if (word !== undefined && !word.startsWith('-') && group.length === 0) {
    throw new UsageError(`there is no command "${word}"`)
  }
  if (!wantsHelp && group.length > 0) {
    const names = group.map(({ name }) => `"postern ${name}"`)
    throw new UsageError(`postern ${args.join(' ')} is no command: there is ${names.join(', ')}`)
  }
  if (!wantsHelp) throw new UsageError(`there is no option "${word}"`)
  host.out(programHelp(group.length > 0 ? group : commands, host.settingFlags))
  return exitStatus.done
}

function parse(
  args: readonly string[],
  own: Readonly<Record<string, Option>>,
  { settingFlags }: CliHost,
): { values: OptionValues; positionals: string[] } {
  const flags = settingFlags.map(({ flag }) => [flag, { type: 'string' as const }])
  const options: Record<string, Option> = { ...Object.fromEntries(flags), ...commonOptions, ...own }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function settingValues(values: OptionValues, { settingFlags }: CliHost): SettingValues {
  const given: Record<string, string> = {}
  for (const { flag, variable } of settingFlags) {
    const value = values[flag]
    if (value === '') throw new UsageError(`--${flag} needs a value`)
    if (typeof value === 'string') given[variable] = value
  }
  if (typeof values.config === 'string') given.POSTERN_CONFIG_FILE = values.config
  return given
}

function operatorName(values: OptionValues, host: CliHost): string {
  const name = values.as
  if (typeof name !== 'string') return host.operator
  const problem = nameProblem(name)
  if (problem !== undefined) throw new UsageError(`--as: ${problem}`)
  return name
}
