import type { Candidate, Completions } from './completion.ts'

/** Either sourced, or saved as \`_postern\` in a folder of fpath. */
export function zshCompletion({ words, seconds, commands }: Completions): string {
  const pairs = [...seconds.keys()].join('|')
  return `#compdef postern
# Completion of postern for zsh: source <(postern completion zsh)
_postern() {
  local prev=$words[CURRENT-1] command=
  local -a entries
  if ((CURRENT > 2)); then
    command=$words[2]
    case $command in
      ${pairs}) ((CURRENT > 3)) && command+=" $words[3]" ;;
    esac
  fi
  if [[ $PREFIX == --*=* ]]; then
    prev=\${PREFIX%%=*}
    compset -P '*='
  fi
  case "$command $prev" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case $command in
${wordCase("''", words)}
${[...seconds].map(([first, next]) => wordCase(first, next)).join('\n')}
${commands.map(({ name, flags }) => `    '${name}') entries=(${described(flags)}) ;;`).join('\n')}
  esac
  _describe -o option entries
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _postern "$@"
else
  compdef _postern postern
fi`
}

function wordCase(typed: string, next: readonly Candidate[]): string {
  return `    ${typed}) entries=(${described(next)}); _describe command entries; return ;;`
}

function valueCases({ name, values }: Completions['commands'][number]): readonly string[] {
  return values.map(({ flag, words }) => {
    const answer =
      words === 'file' ? '_files' : `entries=(${words.join(' ')}); _describe value entries`
    return `    '${name} ${flag}') ${answer}; return ;;`
  })
}

function described(candidates: readonly Candidate[]): string {
  return candidates
    .map(({ word, about }) => `'${word}:${about.replaceAll("'", "'\\''")}'`)
    .join(' ')
}
