import type { Command, Option, Program, SettingFlag } from './command.ts'
import { alignRows } from './table.ts'

/** Everything that there is. */
export function programHelp({ commands, gateCommands, apiFlags, settingFlags }: Program): string {
  return [
    'Usage: postern COMMAND [ARGUMENTS] [OPTIONS]',
    ...part(
      'Run the gate:',
      gateCommands.map(({ name, about }) => [name, about]),
    ),
    ...commandParts(commands),
    '',
    'Every command takes --json, --help, --as NAME and --config FILE. Exit status: 0 done, 1 refused or failed,',
    '2 wrong usage, 3 done but not confirmed on every node yet.',
    ...part(
      'Over the management API, as flags, as environment variables or in the file of --config:',
      apiFlags.map(flagRow),
    ),
    ...part(
      'Settings of the gate, in the same ways; a flag beats the environment, which beats the file:',
      settingFlags.map(flagRow),
    ),
  ].join('\n')
}

/** The commands that begin with the same word. */
export function groupHelp(group: readonly Command[]): string {
  const word = group[0]?.name.split(' ')[0]
  return [
    `Usage: postern ${word} COMMAND [ARGUMENTS] [OPTIONS]`,
    ...commandParts(group),
    '',
    'Each has its own --help; "postern --help" lists everything.',
  ].join('\n')
}

function commandParts(commands: readonly Command[]): readonly string[] {
  const kinds = [
    [
      'Work beside it, on its database, or from anywhere over its management API (--url):',
      (command: Command) => 'manage' in command,
    ],
    ['Only where its database is:', (command: Command) => 'run' in command],
    ['For your shell:', (command: Command) => 'print' in command],
  ] as const
  return kinds.flatMap(([title, isKind]) => part(title, commands.filter(isKind).map(commandRow)))
}

export function commandHelp(command: Command, { commonOptions, apiFlags }: Program): string {
  const { name, about, positionals = [], options = {}, examples = [] } = command
  const isManagement = 'manage' in command
  const more = apiFlags.filter(({ flag }) => !(flag in options))
  return [
    `Usage: ${['postern', name, ...positionals].join(' ')} [OPTIONS]`,
    '',
    /[.?]$/.test(about) ? about : `${about}.`,
    ...part('Options:', Object.entries({ ...options, ...commonOptions }).map(optionRow)),
    ...(isManagement ? part('Over the management API of a gate:', more.map(flagRow)) : []),
    ...part(
      'Examples:',
      examples.map((line) => [`postern ${line}`]),
    ),
    '',
    'Settings such as --database-url are listed by "postern --help".',
  ].join('\n')
}

function part(title: string, rows: readonly (readonly string[])[]): readonly string[] {
  return rows.length === 0 ? [] : ['', title, alignRows(rows).replaceAll(/^/gm, '  ')]
}

function commandRow({ name, positionals = [], about }: Command): readonly string[] {
  return [[name, ...positionals].join(' '), about]
}

function optionRow([option, { value, about }]: [string, Option]): readonly string[] {
  return [`--${option}${value === undefined ? '' : ` ${value}`}`, about]
}

function flagRow({ flag, variable, value, about }: SettingFlag): readonly string[] {
  return [`--${flag}${value === undefined ? '' : ` ${value}`}`, variable, about]
}
