import { readFileSync } from 'node:fs'

/** What a case does, in its order. */
export type Step =
  /** Written in one piece. */
  | { readonly kind: 'send'; readonly bytes: Buffer }
  /** The next answer begins with one of these codes, and holds the text. */
  | { readonly kind: 'answer'; readonly codes: readonly number[]; readonly text: string }
  /** The gate closes the connection, without another word. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'act'; readonly act: Act }

const acts = ['tls', 'end', 'leave', 'segment'] as const
export type Act = (typeof acts)[number]

const forms = ['message', 'smtp', 'json', 'http'] as const
export type Form = (typeof forms)[number]

/** One case of a corpus. README.md describes the files. */
export interface Case {
  readonly name: string
  /** The clause, the published attack or the client that the case comes from. */
  readonly source: string
  readonly form: Form
  /** Where the dialogue begins (`smtp`), or which path is asked (`json`). */
  readonly start: string
  readonly gate: 'usual' | 'strict'
  /** For each message that may reach the upstream, in their order, the domains of its senders. */
  readonly upstream: readonly (readonly string[])[]
  /** MAIL and RCPT as the relay hears them; undefined when the case does not say. */
  readonly heard: readonly string[] | undefined
  readonly steps: readonly Step[]
}

/** What `$(…)` stands for. */
export type Names = Readonly<Record<string, string>>

/** The case says itself how the connection ends. */
export function endsItself(steps: readonly Step[]): boolean {
  const last = steps.at(-1)
  return last?.kind === 'closed' || (last?.kind === 'act' && last.act === 'leave')
}

/** Reads a corpus; `names` are what its cases may use besides what they define. Throws for what it does not understand. */
export function readCases(file: string, names: Names): Case[] {
  const [preamble = '', ...blocks] = readFileSync(file, 'utf8').split(/^== /m)
  const defined: Record<string, string> = { ...names }
  const defaults: Record<string, string> = {}
  for (const line of meaningful(preamble)) {
    const [, isName, key = '', value = ''] = /^(let )?([a-z]+): (.*)$/.exec(line) ?? []
    if (key === '') throw new Error(`${file}: what is ${JSON.stringify(line)}?`)
    if (isName === undefined) defaults[key] = value
    else defined[key] = value
  }
  return blocks.flatMap((block) => {
    const [name = '', ...lines] = meaningful(block)
    try {
      return readBlock(name, lines, defaults, defined)
    } catch (error) {
      throw new Error(`${file}: ${name}: ${error instanceof Error ? error.message : error}`)
    }
  })
}

function meaningful(text: string): string[] {
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

const keys = new Set(['source', 'form', 'start', 'gate', 'upstream', 'heard'])

/** One case, or one for each `each`. */
function readBlock(
  title: string,
  lines: readonly string[],
  defaults: Readonly<Record<string, string>>,
  names: Names,
): Case[] {
  const values: Record<string, string> = { ...defaults }
  const variants: string[] = []
  const dialogue: string[] = []
  for (const line of lines) {
    if (/^[<>!]/.test(line)) {
      dialogue.push(line)
      continue
    }
    const [, key = '', value = ''] = /^([a-z]+): (.*)$/.exec(line) ?? []
    if (key === 'each') variants.push(value)
    else if (keys.has(key)) values[key] = value
    else throw new Error(`what is ${JSON.stringify(line)}?`)
  }
  const { source, form, start = '', gate = 'usual', upstream, heard } = values
  if (source === undefined || upstream === undefined) throw new Error('no source, or no upstream')
  if (!isOneOf(forms, form)) throw new Error(`there is no form ${form}`)
  if (gate !== 'usual' && gate !== 'strict') throw new Error(`there is no gate ${gate}`)

  function caseOf(name: string, own: Names): Case {
    const list = (text: string) => expand(text, own).toString().split(' | ')
    return {
      name,
      source: source ?? '',
      form: form as Form,
      start,
      gate: gate as Case['gate'],
      upstream:
        upstream === 'nothing' ? [] : list(upstream ?? '').map((domains) => domains.split(', ')),
      heard: heard === undefined ? undefined : heard === 'nothing' ? [] : list(heard),
      steps: readSteps(dialogue, own),
    }
  }
  if (variants.length === 0) return [caseOf(title, names)]
  return variants.map((each) => caseOf(`${title}: ${each}`, { ...names, each }))
}

function readSteps(dialogue: readonly string[], names: Names): Step[] {
  const steps: Step[] = []
  let pending: Buffer[] = []
  function flush() {
    if (pending.length > 0) steps.push({ kind: 'send', bytes: Buffer.concat(pending) })
    pending = []
  }
  for (const line of dialogue) {
    if (line.startsWith('>')) {
      pending.push(readLine(line.replace(/^> ?/, ''), names))
      continue
    }
    flush()
    const text = line.slice(2)
    if (line.startsWith('! ')) {
      if (!isOneOf(acts, text)) throw new Error(`nobody can do ${JSON.stringify(text)}`)
      steps.push({ kind: 'act', act: text })
    } else if (text === 'closed') {
      steps.push({ kind: 'closed' })
    } else {
      const [, codes = '', rest = ''] = /^< ([\d/]+) ?(.*)$/.exec(line) ?? []
      if (codes === '') throw new Error(`no answer is ${JSON.stringify(line)}`)
      const held = expand(rest, names).toString()
      steps.push({ kind: 'answer', codes: codes.split('/').map(Number), text: held })
    }
  }
  flush()
  if (!steps.some(({ kind }) => kind === 'send')) throw new Error('it sends nothing')
  return steps
}

const cut = '$(cut)'

/** A line stands for itself and CR LF. */
function readLine(line: string, names: Names): Buffer {
  const isCut = line.endsWith(cut)
  const bytes = expand(isCut ? line.slice(0, -cut.length) : line, names)
  return isCut ? bytes : Buffer.concat([bytes, crlf])
}

const crlf = Buffer.from('\r\n')
const marks: Readonly<Record<string, string>> = {
  CR: '\r',
  LF: '\n',
  CRLF: '\r\n',
  NUL: '\0',
  TAB: '\t',
  SP: ' ',
}

/** Text as UTF-8, with what stands in `$(…)` replaced by what it means. */
export function expand(text: string, names: Names): Buffer {
  const parts: Buffer[] = []
  let rest = text
  for (;;) {
    const begin = rest.indexOf('$(')
    if (begin < 0) break
    const end = closing(rest, begin + 1)
    parts.push(Buffer.from(rest.slice(0, begin)), meaning(rest.slice(begin + 2, end), names))
    rest = rest.slice(end + 1)
  }
  return Buffer.concat([...parts, Buffer.from(rest)])
}

function closing(text: string, open: number): number {
  let depth = 0
  for (let at = open; at < text.length; at++) {
    if (text[at] === '(') depth += 1
    if (text[at] === ')') depth -= 1
    if (depth === 0) return at
  }
  throw new Error(`not closed: ${text.slice(open - 1)}`)
}

function meaning(inside: string, names: Names): Buffer {
  const mark = marks[inside]
  if (mark !== undefined) return Buffer.from(mark)
  const named = names[inside]
  if (named !== undefined) return expand(named, names)
  const [, verb = '', argument = ''] = /^(\S+?)[ +](.*)$/s.exec(inside) ?? []
  switch (verb) {
    case 'x':
      return Buffer.from(argument.replaceAll(' ', ''), 'hex')
    case 'U':
      return Buffer.from(String.fromCodePoint(Number.parseInt(argument, 16)))
    case 'repeat': {
      const [, times = '', what = ''] = /^(\d+) (.*)$/s.exec(argument) ?? []
      return Buffer.concat(new Array(Number(times)).fill(expand(what, names)))
    }
    case 'base64':
      return Buffer.from(expand(argument, names).toString('base64'))
    case 'utf16':
      return Buffer.from(expand(argument, names).toString(), 'utf16le')
    case 'size':
      return Buffer.from(String(expand(argument, names).length))
    case 'hexsize':
      return Buffer.from(expand(argument, names).length.toString(16))
    default:
      throw new Error(`what is $(${inside})?`)
  }
}

function isOneOf<T extends string>(values: readonly T[], text: string | undefined): text is T {
  return values.some((value) => value === text)
}
