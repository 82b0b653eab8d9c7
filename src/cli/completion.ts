import type { Command, Program, ProgramCommand, SettingFlag } from './command.ts'
import { bashCompletion } from './completion-bash.ts'
import { fishCompletion } from './completion-fish.ts'
import { zshCompletion } from './completion-zsh.ts'

/** One word that can be typed next, and what it is for. */
export interface Candidate {
  readonly word: string
  readonly about: string
}

/** Of one command: its flags, and for those that take a value what can follow them. */
export interface CompletedCommand {
  readonly name: string
  readonly flags: readonly Candidate[]
  /** `file` for any path, the words of a closed set, or nothing that is known beforehand. */
  readonly values: readonly { readonly flag: string; readonly words: readonly string[] | 'file' }[]
}

/** All that completion knows, made from the same description as `--help`. */
export interface Completions {
  /** `token`, `explain`, … */
  readonly words: readonly Candidate[]
  /** What follows the first word of a command that has two. */
  readonly seconds: ReadonlyMap<string, readonly Candidate[]>
  readonly commands: readonly CompletedCommand[]
}

/**
 * Settings of the gate are flags of every command; they are offered where a gate is run or looked after, and would drown
 * the few flags of the other commands.
 */
export function completionsOf(program: Program): Completions {
  const { commands, gateCommands } = program
  const firsts = Map.groupBy(commands, ({ name }) => name.split(' ')[0] ?? '')
  const pairs = [...firsts].filter(([first, group]) => group.some(({ name }) => name !== first))
  const described = [...gateCommands.map((command) => ({ ...command, isGate: true })), ...commands]
  return {
    words: [
      ...gateCommands.map(({ name, about }) => ({ word: name, about })),
      ...[...firsts].map(([word, group]) => ({ word, about: aboutGroup(word, group) })),
    ],
    seconds: new Map(
      pairs.map(([first, group]) => [
        first,
        group.map(({ name, about }) => ({ word: name.split(' ')[1] ?? '', about })),
      ]),
    ),
    commands: described.map((command) => completedCommand(command, program)),
  }
}

function aboutGroup(word: string, [only, ...others]: readonly Command[]): string {
  if (only?.name === word) return only.about
  return [only, ...others].map((command) => command?.name.split(' ')[1]).join(', ')
}

type Described = Pick<Command, 'name' | 'options'> & Partial<Command>
type Flag = Pick<SettingFlag, 'about' | 'value' | 'values'> & { readonly type?: string }

function completedCommand(command: Described, program: Program): CompletedCommand {
  const { commonOptions, apiFlags, settingFlags } = program
  const more = 'manage' in command ? apiFlags : 'print' in command ? [] : settingFlags
  const flags: Record<string, Flag> = {
    ...Object.fromEntries(more.map((setting) => [setting.flag, setting])),
    ...command.options,
    ...commonOptions,
  }
  const entries = Object.entries(flags)
  return {
    name: command.name,
    flags: entries.map(([flag, { about }]) => ({ word: `--${flag}`, about })),
    values: entries
      .filter(([, { type }]) => type !== 'boolean')
      .map(([flag, { value, values = [] }]) => ({
        flag: `--${flag}`,
        words: value === 'FILE' ? 'file' : values,
      })),
  }
}

const shells = {
  bash: { script: bashCompletion, install: 'source <(postern completion bash)' },
  zsh: { script: zshCompletion, install: 'source <(postern completion zsh)' },
  fish: { script: fishCompletion, install: 'postern completion fish | source' },
}

/** A script that the shell reads once: nothing of Postern runs while somebody types. */
export const completionCommands: readonly ProgramCommand[] = Object.entries(shells).map(
  ([shell, { script, install }]) => ({
    name: `completion ${shell}`,
    about: `Print what makes ${shell} complete commands and flags: ${install}`,
    examples: [`completion ${shell}`],
    print: (program) => script(completionsOf(program)),
  }),
)
