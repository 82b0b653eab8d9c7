/** Writes docs/settings.md from the table of settings: `npm run docs`. */
import { writeFileSync } from 'node:fs'
import { apiSettings, configFileVariable, flagName, settings } from '../src/config.ts'
import { machineName } from '../src/setting-parsers.ts'

export function settingsPage(): string {
  const rows = Object.values<{ variable: string; about: string; dev?: string; serve?: string }>(
    settings,
  ).map(({ variable, about, dev, serve }) =>
    row(`\`${variable}\``, `\`--${flagName(variable)}\``, value(dev), value(serve), about),
  )
  return `${[
    '<!-- Written by `npm run docs` from src/config.ts. -->',
    '',
    '# Settings',
    '',
    'Each is a variable of the environment, a flag, or a `NAME=value` line of the file that',
    `\`--config FILE\` or \`${configFileVariable}\` names. Flags beat the environment, which beats the file. Port 0 means`,
    'any free one.',
    '',
    row('variable', 'flag', '`postern dev`', '`postern serve`', 'meaning'),
    row('---', '---', '---', '---', '---'),
    ...rows,
    '',
    'What [the command line](cli.md) asks the gate of another machine with; no gate reads them:',
    '',
    row('variable', 'flag', 'meaning'),
    row('---', '---', '---'),
    ...Object.values(apiSettings).map(({ variable, about }) =>
      row(`\`${variable}\``, `\`--${flagName(variable)}\``, about),
    ),
  ].join('\n')}\n`
}

function row(...cells: string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
}

function value(text: string | undefined): string {
  if (text === undefined) return ''
  return text === machineName() ? "the machine's name" : `\`${text}\``
}

if (import.meta.main) {
  writeFileSync(new URL('settings.md', import.meta.url), settingsPage())
}
