import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCommandLine } from '../helpers/command-line.ts'
import { createWorkplace, runProgram, type Workplace } from '../helpers/program.ts'
import { requireProgram } from '../helpers/require-program.ts'

/** The scripts in the shells that they are for: what a person sees who presses Tab behind these words. */

let place: Workplace

beforeAll(async () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) requireProgram(shell)
  place = createWorkplace()
  writeFileSync(join(place.folder, 'token file'), '')
  for (const shell of ['bash', 'zsh', 'fish']) {
    const { status, stdout } = await createCommandLine({})('completion', shell)
    expect(status).toBe(0)
    writeFileSync(join(place.folder, shell), stdout)
  }
}, 120_000)
afterAll(() => place.remove())

async function run(shell: string, ...args: string[]): Promise<string[]> {
  const { folder: cwd, environment: env } = place
  const { stdout, stderr } = await runProgram(shell, args, { cwd, env })
  expect(stderr).toBe('')
  return stdout.split('\n').filter((line) => line !== '')
}

/** Bash splits what is typed at spaces and at equals signs. */
function inBash(line: string): Promise<string[]> {
  const words = line.split(/ |(?<==)|(?==)/)
  const script = `source ./bash
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _postern
    printf '%s\\n' "\${COMPREPLY[@]}"`
  return run('bash', '-c', script, 'bash', ...words)
}

/**
 * zsh completes only in a terminal, which it can make itself. Each match passes through `compadd`; the completion is over
 * when the last of its functions has been called.
 */
function inZsh(line: string): Promise<string[]> {
  const script = `
    zmodload zsh/zpty
    zpty shell TERM=dumb zsh -f -i
    wait_for() { local all= piece=; while zpty -r shell piece; do all+=$piece; [[ $all == *$1* ]] && break; done }
    zpty -w shell 'PS1=; autoload -Uz compinit && compinit -D -u; source ./zsh
      compadd() { local -a hits; builtin compadd -A hits "$@"; print -rl -- $hits >> hits; builtin compadd "$@" }
      finish() { print -r -- DO""NE }; comppostfuncs=(finish); print -r REA""DY'
    wait_for READY
    : > hits
    zpty -w -n shell "$1"$'\t'
    wait_for DONE
    sort -u hits`
  return run('zsh', '-f', '-c', script, 'zsh', line)
}

/** Candidates come with what they are for, behind a tab. */
async function inFish(line: string): Promise<string[]> {
  const lines = await run('fish', '--no-config', '-c', `source ./fish; complete -C '${line}'`)
  return lines.map((one) => one.split('\t')[0] ?? '')
}

const cases: [string, string[], string[]][] = [
  ['postern ', ['dev', 'serve', 'token', 'explain', 'completion'], ['create', '--name']],
  ['postern to', ['token'], ['domain']],
  ['postern token re', ['reset', 'rename', 'reveal'], ['create', 'token']],
  ['postern token create --na', ['--name'], ['--json']],
  ['postern token create --account-level ', ['admin', 'viewer'], ['--name', 'create']],
  ['postern token create --account-level v', ['viewer'], ['admin']],
  ['postern token create --account-level=v', ['viewer'], ['admin']],
  ['postern explain --protocol ', ['http', 'smtp'], ['admin']],
  [
    'postern token list --',
    ['--search', '--url', '--token-file'],
    ['--account-level', '--lease-ms'],
  ],
  ['postern serve --log-level w', ['warn'], ['info']],
  ['postern doctor --lease', ['--lease-ms'], []],
  ['postern completion z', ['zsh'], ['bash']],
]

test('with --json the script is one JSON value', async () => {
  const { stdout } = await createCommandLine({})('completion', 'bash', '--json')
  expect(`${JSON.parse(stdout)}\n`).toBe(readFileSync(join(place.folder, 'bash'), 'utf8'))
})

describe.each([
  ['bash', inBash],
  ['zsh', inZsh],
  ['fish', inFish],
])('in %s', (_, complete) => {
  test.each(cases)('behind "%s"', async (line, expected, absent) => {
    const shown = (await complete(line)).map((word) => word.replace(/^--[a-z-]+=/, ''))
    expect(shown).toEqual(expect.arrayContaining(expected))
    for (const word of absent) expect(shown).not.toContain(word)
  })

  test('files are offered where a file is wanted, and nothing where nobody knows', async () => {
    const files = await complete('postern token list --token-file tok')
    expect(files.map((file) => file.replace('\\', ''))).toEqual(['token file'])
    expect(await complete('postern token create --name ')).toEqual([])
  })
})
