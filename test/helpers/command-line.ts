import { Readable } from 'node:stream'
import { readApiTarget, readApiUrl } from '../../src/api-target.ts'
import type { SettingValues } from '../../src/cli/parse-flags.ts'
import { type CliHost, runCli } from '../../src/cli/run.ts'
import { systemClock } from '../../src/clock.ts'
import {
  apiSettings,
  configFileVariable,
  flagName,
  parseConfig,
  type Sources,
  settings,
} from '../../src/config.ts'
import { openOperations } from '../../src/operations.ts'
import { systemRandom } from '../../src/random.ts'
import type { Confirm } from '../../src/service/ports/registry.ts'
import { readSettingsFile } from '../../src/setting-files.ts'
import type { CommandResult } from './program.ts'

/** Runs one command line to its end. */
export type CommandLine = (...args: string[]) => Promise<CommandResult>

interface CommandLineOptions {
  /** In place of the waiting for nodes. */
  readonly confirm?: Confirm
  /** What is read from standard input. */
  readonly input?: string
  readonly terminal?: CliHost['terminal']
}

/**
 * The command line in this process, over the real store of `settings`: for what is asked hundreds of times, where a process
 * each would take minutes.
 */
export function createCommandLine(
  environment: Readonly<Record<string, string>>,
  { confirm, input = '', terminal }: CommandLineOptions = {},
): CommandLine {
  function sourcesWith(flags: SettingValues): Sources {
    const file = flags[configFileVariable]
    return [flags, environment, file === undefined ? {} : readSettingsFile(file)]
  }

  return async function postern(...args) {
    const [out, err]: [string[], string[]] = [[], []]
    const host: CliHost = {
      version: '0.0.0',
      operator: 'tester',
      settingFlags: Object.values(settings).map(({ variable, about, parse }) => ({
        flag: flagName(variable),
        variable,
        about,
        values: parse.values,
      })),
      apiFlags: Object.values(apiSettings).map((setting) => ({
        ...setting,
        flag: flagName(setting.variable),
      })),
      clock: systemClock,
      terminal,
      longRun: {
        standardInput: () => Readable.from([input]),
        showProgress: undefined,
        interruption: () => new AbortController().signal,
      },
      apiUrl: (flags) => readApiUrl(sourcesWith(flags)),
      apiTarget: (flags, readInput) => readApiTarget(sourcesWith(flags), readInput),
      readStandardInput: async () => input,
      out: (text) => void out.push(`${text}\n`),
      err: (text) => void err.push(`${text}\n`),
      async open(flags) {
        const read = parseConfig('tool', sourcesWith(flags))
        if (!read.ok) throw new Error(read.problems.join('\n'))
        const operations = await openOperations(read.config, {
          clock: systemClock,
          random: systemRandom,
          log: { warn() {} },
        })
        return { ...operations, ...(confirm && { confirm }) }
      },
      run: async () => 0,
    }
    const status = await runCli(args, host)
    return { status, stdout: out.join(''), stderr: err.join('') }
  }
}

/** Settings of a gate that has its database and its key in this folder, wherever the process runs. */
export function settingsIn(folder: string): Record<string, string> {
  return {
    POSTERN_DATABASE_URL: `sqlite:${folder}/data/postern.db`,
    POSTERN_SEAL_KEY_FILE: `${folder}/data/seal.key`,
  }
}
