import { parseArgs } from 'node:util'
import { type Option, type OptionValues, type SettingFlag, UsageError } from './command.ts'
import { suggestion } from './suggest.ts'

/** Settings by the variable that each is in the environment. */
export type SettingValues = Readonly<Record<string, string>>

/** What every command takes. */
export const commonOptions = {
  json: { type: 'boolean', about: 'print one JSON value' },
  help: { type: 'boolean', short: 'h', about: 'show this help' },
  as: { type: 'string', value: 'NAME', about: 'who asks, for the audit trail' },
  config: { type: 'string', value: 'FILE', about: 'settings as NAME=value lines' },
} as const satisfies Record<string, Option>

/** Reads a command's own options, the common ones, and settings as flags. */
export function parseFlags(
  args: readonly string[],
  own: Readonly<Record<string, Option>> = {},
  settingFlags: readonly SettingFlag[],
): { values: OptionValues; positionals: string[] } {
  const flags = settingFlags.map(({ flag }) => [flag, { type: 'string' as const }])
  const options: Record<string, Option> = { ...Object.fromEntries(flags), ...commonOptions, ...own }
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new UsageError(parseProblem(error, Object.keys(options)))
  }
}

function parseProblem(error: unknown, names: readonly string[]): string {
  const message = error instanceof Error ? error.message : String(error)
  const isUnknown =
    error instanceof Error && 'code' in error && error.code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION'
  const option = isUnknown ? /'(-[^']*)'/.exec(message)?.[1] : undefined
  if (option === undefined) return message
  const flags = names.map((name) => `--${name}`)
  return `there is no option "${option}"${suggestion(option, flags)}`
}

/** The settings among the flags that were given. */
export function settingValues(values: OptionValues, flags: readonly SettingFlag[]): SettingValues {
  const given: Record<string, string> = {}
  for (const { flag, variable } of flags) {
    const value = values[flag]
    if (value === '') throw new UsageError(`--${flag} needs a value`)
    if (typeof value === 'string') given[variable] = value
  }
  return given
}

/** `--config` is common to all, and a setting too. */
export function withConfig(settings: SettingValues, { config }: OptionValues): SettingValues {
  return typeof config === 'string' ? { ...settings, POSTERN_CONFIG_FILE: config } : settings
}
