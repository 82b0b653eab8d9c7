import type { Completions } from './completion.ts'

/** Works from bash 3.2 on, which macOS has. */
export function bashCompletion({ words, seconds, commands }: Completions): string {
  const pairs = [...seconds.keys()].join('|')
  return `# Completion of postern for bash: source <(postern completion bash)
_postern() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command= words= IFS=$' \\n'
  # Bash splits --flag=value at the sign.
  if [[ $cur == = ]]; then cur=
  elif [[ $prev == = ]]; then prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  command=\${COMP_WORDS[1]}
  case $command in
    ${pairs}) ((COMP_CWORD > 2)) && command+=" \${COMP_WORDS[2]}" ;;
  esac
  ((COMP_CWORD == 1)) && command=
  case "$command $prev" in
${commands.flatMap(valueCases).join('\n')}
  esac
  case $command in
    '') words=${quoted(words)} ;;
${[...seconds].map(([first, next]) => `    ${first}) words=${quoted(next)} ;;`).join('\n')}
${commands.map(({ name, flags }) => `    '${name}') words=${quoted(flags)} ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _postern postern`
}

function valueCases({ name, values }: Completions['commands'][number]): readonly string[] {
  return values.map(({ flag, words }) => {
    const answer =
      words === 'file'
        ? `compopt -o filenames 2>/dev/null; IFS=$'\\n'; COMPREPLY=($(compgen -f -- "$cur"))`
        : `COMPREPLY=($(compgen -W '${words.join(' ')}' -- "$cur"))`
    return `    '${name} ${flag}') ${answer}; return ;;`
  })
}

function quoted(candidates: Completions['words']): string {
  return `'${candidates.map(({ word }) => word).join(' ')}'`
}
