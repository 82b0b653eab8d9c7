import type { Candidate, CompletedCommand, Completions } from './completion.ts'

export function fishCompletion({ words, seconds, commands }: Completions): string {
  return `# Completion of postern for fish: postern completion fish | source
function __postern_at --description 'Nothing but these words stands before the cursor'
    set -l typed (commandline -opc)
    set -e typed[1]
    test "$typed" = "$argv"
end
function __postern_in --description 'These words stand first'
    set -l typed (commandline -opc)
    set -e typed[1]
    set -l count (count $argv)
    test (count $typed) -ge $count; and test "$typed[1..$count]" = "$argv"
end
complete -c postern -f
${words.map((candidate) => wordLine('', candidate)).join('\n')}
${[...seconds].flatMap(([first, next]) => next.map((one) => wordLine(` ${first}`, one))).join('\n')}
${commands.flatMap(flagLines).join('\n')}`
}

function wordLine(before: string, { word, about }: Candidate): string {
  return `complete -c postern -n '__postern_at${before}' -a ${word} -d ${quoted(about)}`
}

function flagLines({ name, flags, values }: CompletedCommand): readonly string[] {
  return flags.map(({ word, about }) => {
    const value = values.find(({ flag }) => flag === word)
    const how = value === undefined ? '' : valueOptions(value.words)
    return `complete -c postern -n '__postern_in ${name}' -l ${word.slice(2)}${how} -d ${quoted(about)}`
  })
}

function valueOptions(words: CompletedCommand['values'][number]['words']): string {
  if (words === 'file') return ' -r -F'
  return words.length === 0 ? ' -x' : ` -x -a '${words.join(' ')}'`
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`
}
