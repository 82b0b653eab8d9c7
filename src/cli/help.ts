import type { Command, Option } from './command.ts'
import { table } from './render.ts'
import type { SettingFlag } from './run.ts'

export function programHelp(
  commands: readonly Command[],
  settingFlags: readonly SettingFlag[],
): string {
  return [
    'Usage: postern COMMAND [ARGUMENTS] [OPTIONS]',
    '',
    'Run the gate:',
    indent([
      ['dev', 'everything on this machine, with a sink that shows what came through'],
      ['serve', 'production, in front of your own Email API and relay'],
    ]),
    '',
    'Work beside it, on the same database:',
    indent(
      commands.map(({ name, positionals = [], about }) => [
        [name, ...positionals].join(' '),
        about,
      ]),
    ),
    '',
    'Every command takes --json, --help, --as NAME and --config FILE. Exit status: 0 done, 1 refused or failed,',
    '2 wrong usage, 3 done but not confirmed on every node yet.',
    '',
    'Settings, as flags, as environment variables or in the file of --config, in this order:',
    indent(settingFlags.map(({ flag, variable, about }) => [`--${flag}`, variable, about])),
  ].join('\n')
}

export function commandHelp(
  { name, about, positionals = [], options = {} }: Command,
  common: Readonly<Record<string, Option>>,
): string {
  const rows = Object.entries({ ...options, ...common }).map(([option, { value, about }]) => [
    `--${option}${value === undefined ? '' : ` ${value}`}`,
    about,
  ])
  return [
    `Usage: ${['postern', name, ...positionals].join(' ')} [OPTIONS]`,
    '',
    `${about}.`,
    '',
    indent(rows),
    '',
    'Settings such as --database-url are listed by "postern --help".',
  ].join('\n')
}

function indent(rows: readonly (readonly string[])[]): string {
  return table(rows).replaceAll(/^/gm, '  ')
}
