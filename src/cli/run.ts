import type { Clock } from '../clock.ts'
import { nameProblem } from '../core/token-name.ts'
import type { Actor } from '../service/ports/registry.ts'
import { accessCommand } from './access.ts'
import { accountCommands } from './account.ts'
import type { ApiTarget } from './api-client.ts'
import { auditCommand } from './audit.ts'
import {
  type Call,
  type Command,
  type LocalCommand,
  type LongRun,
  type ManagementCommand,
  type Operations,
  type OptionValues,
  type Output,
  type Program,
  type SettingFlag,
  type Terminal,
  UsageError,
} from './command.ts'
import { completionCommands } from './completion.ts'
import { domainCommands } from './domain.ts'
import { explainCommand } from './explain.ts'
import { fleetCommands } from './fleet.ts'
import { commandHelp, groupHelp, programHelp } from './help.ts'
import { importCommand } from './import.ts'
import { createLocalManagement } from './local-management.ts'
import { maintenanceCommands } from './maintenance.ts'
import {
  commonOptions,
  parseFlags,
  type SettingValues,
  settingValues,
  withConfig,
} from './parse-flags.ts'
import { suggestion } from './suggest.ts'
import { renderTable } from './table.ts'
import { tokenCommands } from './token.ts'

/** What the program does for the command line: everything that is not an answer to a question. */
export interface CliHost {
  readonly version: string
  readonly operator: string
  readonly apiFlags: readonly SettingFlag[]
  readonly settingFlags: readonly SettingFlag[]
  readonly clock: Pick<Clock, 'now'>
  /** Undefined where the answer goes into a file or to another program. */
  readonly terminal: Terminal | undefined
  readStandardInput(): Promise<string>
  readonly longRun: LongRun
  out(text: string): void
  err(text: string): void
  /** Where the API is that is to be used, if the flags, the environment or the file of --config name one. */
  apiUrl(flags: SettingValues): string | undefined
  /** The same with all that it takes to speak to it. */
  apiTarget(
    flags: SettingValues,
    readStandardInput: () => Promise<string>,
  ): Promise<ApiTarget | undefined>
  /** Opens the store with the settings given as flags, by variable name; throws with every problem at once. */
  open(flags: SettingValues): Promise<Operations & { close(): Promise<void> }>
  /** Runs a gate until it is told to stop; answers the exit status. */
  run(mode: 'dev' | 'serve', flags: SettingValues): Promise<number>
}

const exitStatus = { done: 0, failed: 1, usage: 2, unconfirmed: 3 } as const

const commands: readonly Command[] = [
  ...accountCommands,
  ...domainCommands,
  ...tokenCommands,
  accessCommand,
  auditCommand,
  importCommand,
  explainCommand,
  ...fleetCommands,
  ...maintenanceCommands,
  ...completionCommands,
]

const gateCommands = [
  { name: 'dev', about: 'everything on this machine, with a sink that shows what came through' },
  { name: 'serve', about: 'production, in front of your own Email API and relay' },
] as const

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
  const { apiFlags, settingFlags } = host
  const program: Program = { commands, gateCommands, commonOptions, apiFlags, settingFlags }
  if (args.includes('--version')) {
    host.out(host.version)
    return exitStatus.done
  }
  const mode = gateCommands.find(({ name }) => name === args[0])?.name
  if (mode !== undefined) return runGate(mode, args.slice(1), host, program)

  const command = findCommand(args)
  if (command === undefined) return showGroup(args, host, program)

  const words = command.name.split(' ').length
  const flags = [...apiFlags, ...settingFlags]
  const { values, positionals } = parseFlags(args.slice(words), command.options, flags)
  if (values.help === true) {
    host.out(commandHelp(command, program))
    return exitStatus.done
  }
  const expected = command.positionals ?? []
  if (positionals.length !== expected.length) {
    throw new UsageError(`usage: postern ${[command.name, ...expected].join(' ')} [options]`)
  }
  if ('print' in command) {
    const text = command.print(program)
    return show({ json: text, text }, values, host)
  }
  const call = { values, positionals, clock: host.clock, readStandardInput: readOnce(host) }
  const output = await ('manage' in command
    ? runManagement(command, call, host)
    : runLocal(command, call, host))
  return show(output, values, host)
}

/** Over the API of a gate where one is named, else over the store of this machine. */
async function runManagement(
  command: ManagementCommand,
  call: Call,
  host: CliHost,
): Promise<Output> {
  const { values } = call
  const flags = apiValues(values, command.options, host)
  const target = await host.apiTarget(flags, call.readStandardInput)
  const settings = settingValues(values, host.settingFlags)
  if (target === undefined) {
    const actor = readActor(values, host)
    const operations = await host.open(withConfig(settings, values))
    try {
      const management = createLocalManagement(operations, actor)
      return await command.manage({ ...call, management })
    } finally {
      await operations.close()
    }
  }
  const [local] = host.settingFlags.filter(({ variable }) => variable in settings)
  if (local !== undefined) {
    throw new UsageError(
      `--${local.flag} is a setting of a gate, and this asks ${target.url}: leave out one, or say --url none`,
    )
  }
  if (values.as !== undefined) {
    throw new UsageError('with --url it is the token that asks: leave out --as')
  }
  // Most commands run where the store is, and need none of this.
  const [{ createApiClient }, { createApiManagement }] = await Promise.all([
    import('./api-client.ts'),
    import('./api-management.ts'),
  ])
  const api = createApiClient(target, { tell: (sentence) => host.err(`postern: ${sentence}`) })
  try {
    return await command.manage({ ...call, management: createApiManagement(api) })
  } finally {
    await api.close()
  }
}

async function runLocal(command: LocalCommand, call: Call, host: CliHost): Promise<Output> {
  const { values } = call
  const actor = readActor(values, host)
  const settings = withConfig(settingValues(values, host.settingFlags), values)
  let operations: Awaited<ReturnType<CliHost['open']>>
  try {
    if (host.apiUrl(apiValues(values, command.options, host)) !== undefined) {
      throw new UsageError(
        `"postern ${command.name}" works only where the database of the gate is: leave out --url, or say --url none where POSTERN_URL is set`,
      )
    }
    operations = await host.open(settings)
  } catch (error) {
    if (error instanceof UsageError || command.unopened === undefined) throw error
    return command.unopened(error)
  }
  try {
    return await command.run({ ...call, operations, actor, longRun: host.longRun })
  } finally {
    await operations.close()
  }
}

function show({ json, text, failed, unconfirmed }: Output, values: OptionValues, host: CliHost) {
  const shown = typeof text === 'string' ? text : renderTable(text, host.terminal)
  host.out(values.json === true ? JSON.stringify(json) : shown)
  if (failed === true) return exitStatus.failed
  return unconfirmed === true ? exitStatus.unconfirmed : exitStatus.done
}

async function runGate(
  mode: 'dev' | 'serve',
  args: readonly string[],
  host: CliHost,
  program: Program,
) {
  const { settingFlags } = host
  const { values, positionals } = parseFlags(args, {}, settingFlags)
  if (values.help === true) {
    host.out(programHelp(program))
    return exitStatus.done
  }
  if (positionals.length > 0) throw new UsageError(`postern ${mode} takes no "${positionals[0]}"`)
  return host.run(mode, withConfig(settingValues(values, settingFlags), values))
}

/** The command that the first words name, whatever options stand before its arguments. */
function findCommand(args: readonly string[]): Command | undefined {
  return commands.find((command) => {
    const words = command.name.split(' ')
    return words.every((word, i) => args[i] === word)
  })
}

/** `postern`, `postern --help`, `postern token --help`, or a word that is none. */
function showGroup(args: readonly string[], host: CliHost, program: Program): number {
  const [word, second = ''] = args
  const group = commands.filter(({ name }) => name.split(' ')[0] === word)
  const wantsHelp = args.length === 0 || args.includes('--help') || args.includes('-h')
  if (word !== undefined && !word.startsWith('-') && group.length === 0) {
    const words = [...gateCommands, ...commands].map(({ name }) => name.split(' ')[0] ?? '')
    throw new UsageError(`there is no command "${word}"${suggestion(word, [...new Set(words)])}`)
  }
  if (!wantsHelp && group.length > 0) {
    const seconds = group.map(({ name }) => name.split(' ')[1] ?? '')
    const near = suggestion(second, seconds)
    const names = group.map(({ name }) => `"postern ${name}"`)
    throw new UsageError(
      `postern ${args.join(' ')} is no command${near === '' ? `: there is ${names.join(', ')}` : near}`,
    )
  }
  if (!wantsHelp) throw new UsageError(`there is no option "${word}"`)
  host.out(group.length > 0 ? groupHelp(group) : programHelp(program))
  return exitStatus.done
}

/** A command's own option of the same name is that option, and no setting: `explain --token`. */
function apiValues(
  values: OptionValues,
  own: Command['options'] = {},
  { apiFlags }: CliHost,
): SettingValues {
  const flags = apiFlags.filter(({ flag }) => !(flag in own))
  return withConfig(settingValues(values, flags), values)
}

/** Standard input holds one thing. */
function readOnce({ readStandardInput }: CliHost): () => Promise<string> {
  let isRead = false
  return async function read() {
    if (isRead) {
      throw new UsageError('standard input can hold one token, and two are to come from it')
    }
    isRead = true
    return readStandardInput()
  }
}

function readActor(values: OptionValues, host: CliHost): Actor {
  const name = typeof values.as === 'string' ? values.as : host.operator
  const problem = values.as === undefined ? undefined : nameProblem(name)
  if (problem !== undefined) throw new UsageError(`--as: ${problem}`)
  return { name, origin: 'cli' }
}
