import { createReadStream, realpathSync, statSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { constants, setPriority } from 'node:os'
import { basename } from 'node:path'
import type { Readable } from 'node:stream'
import {
  type ImportSurroundings,
  type NamedGrant,
  readImportedCredential,
  readNamedGrants,
} from '../core/imported-credential.ts'
import type { ImportLine, LineOutcome } from '../service/import-tokens.ts'
import { knownDomain, optionText, readAccount, readName } from './arguments.ts'
import { type Command, type CommandContext, CommandFailed, UsageError } from './command.ts'
import {
  type Format,
  formats,
  type Layout,
  peek,
  readRows,
  recognise,
} from './import-formats/format.ts'
import type { Bytes } from './import-formats/row.ts'
import { createImportProgress } from './import-progress.ts'
import { createImportReport, type ImportReport, reportLine } from './import-report.ts'
import { createLocalManagement } from './local-management.ts'
import type { ManagedDomain } from './management.ts'
import { unwrap, withReceipt } from './refusal.ts'

export const importCommand: Command = {
  name: 'import',
  about: 'Take over existing credentials: docs/import.md has the formats; "-" is standard input',
  positionals: ['FILE'],
  options: {
    account: {
      type: 'string',
      value: 'ID',
      about: 'whose they become; not needed if there is only one',
    },
    format: {
      type: 'string',
      value: formats.join('|'),
      about: 'guessed from the first line if left out',
    },
    name: { type: 'string', value: 'NAME', about: 'for credentials that have none' },
    domain: {
      type: 'string',
      multiple: true,
      value: 'NAME:LEVEL',
      about: 'for credentials that name no permissions; may be repeated',
    },
    'account-level': { type: 'string', value: 'LEVEL', about: 'the same, on the account' },
    ignore: { type: 'string', multiple: true, value: 'COLUMN', about: 'a column to leave out' },
    'dry-run': { type: 'boolean', about: 'only say what would be done' },
    strict: { type: 'boolean', about: 'import nothing unless everything can be imported' },
    report: { type: 'string', value: 'FILE', about: 'what became of each line, as JSON lines' },
  },
  examples: [
    'import - --account 2 --dry-run < tokens.csv',
    'import - --account 2 --domain acme.test:admin < tokens.csv',
  ],
  async run(context) {
    const { values, longRun, operations } = context
    // On a machine with a gate the gate comes first. On SQLite it would then wait for a lock whose holder gets no turn.
    if (operations.store.dialect !== 'sqlite') {
      setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
    }
    const plan = await readPlan(context)
    const interrupted = longRun.interruption()
    if (values.strict === true && values['dry-run'] !== true) {
      const trial = await runImport({ ...plan, interrupted, trial: true }, context)
      if (trial.report.failed) return trial.output
    }
    const trial = values['dry-run'] === true
    const { output } = await runImport({ ...plan, interrupted, trial }, context)
    return output
  },
}

interface Plan {
  readonly file: string
  readonly accountId: number
  readonly format: Format | undefined
  readonly surroundings: ImportSurroundings
  readonly ignored: ReadonlySet<string>
  readonly reportFile: string | undefined
}

async function readPlan(context: CommandContext): Promise<Plan> {
  const { positionals, values, operations, clock } = context
  const [file = ''] = positionals
  if (file === '-' && values.strict === true) {
    throw new UsageError('--strict reads the file twice: standard input it cannot')
  }
  const format = optionText(values, 'format')
  if (format !== undefined && !isFormat(format)) {
    throw new UsageError(`--format is ${formats.join(', ')}, not "${format}"`)
  }
  const name = optionText(values, 'name')
  const reportFile = optionText(values, 'report')
  if (reportFile !== undefined && isSameFile(file, reportFile)) {
    throw new UsageError('--report would write over the file that is imported')
  }
  const management = createLocalManagement(operations, context.actor)
  const accountId = await readAccount({ ...context, management })
  return {
    file,
    accountId,
    format,
    surroundings: {
      defaultGrants: readDefaultGrants(context, await management.listDomains(accountId)),
      defaultName: name === undefined ? undefined : readName(name),
      tokenPrefix: operations.tokenPrefix,
      now: clock.now(),
    },
    ignored: new Set(textsOf(values.ignore).map((column) => column.toLowerCase())),
    reportFile,
  }
}

/** What is wrong with these is said once, and not for every line. */
function readDefaultGrants(
  { values }: CommandContext,
  domains: readonly ManagedDomain[],
): readonly NamedGrant[] {
  const onDomains = readNamedGrants(textsOf(values.domain).join(' '))
  if (!onDomains.ok) throw new UsageError(`--domain: ${onDomains.problem}`)
  for (const { domain } of onDomains.value) knownDomain(domains, domain ?? '')
  const level = optionText(values, 'account-level')
  if (level === undefined) return onDomains.value
  if (level !== 'admin' && level !== 'viewer') {
    throw new UsageError(`a level is admin or viewer, not "${level}"`)
  }
  return [{ domain: null, level }, ...onDomains.value]
}

type Run = Plan & { readonly trial: boolean; readonly interrupted: AbortSignal }

async function runImport(run: Run, context: CommandContext) {
  const { file, accountId, trial, interrupted, reportFile } = run
  const { operations, actor } = context
  const source = file === '-' ? 'standard input' : basename(file)
  const progress = createImportProgress(context, sizeOf(file))
  const bytes = progress.counting(until(interrupted, openInput(file, context)))
  const { head, whole } = await fromFile(source, peek(bytes))
  const recognised = recognise(head, run.format)
  if ('problem' in recognised) throw new CommandFailed(`${source}: ${recognised.problem}`)
  const report = createImportReport({
    accountId,
    source,
    trial,
    layout: recognised.layout,
    guessed: run.format === undefined,
    ignored: [...run.ignored],
  })
  const written = reportFile === undefined ? undefined : await open(reportFile, 'w')
  try {
    const outcome = await fromFile(
      source,
      operations.importTokens({
        accountId,
        source,
        trial,
        actor,
        interrupted,
        lines: readLines(whole, recognised.layout, { ...run, report }),
        async onOutcomes(outcomes: readonly LineOutcome[]) {
          report.add(outcomes)
          progress.show(report.count())
          await written?.appendFile(outcomes.map(reportLine).join(''))
        },
      }),
      report,
    )
    const { receipt } = unwrap(outcome)
    if (interrupted.aborted) report.stop('by an interruption')
    const output = withReceipt(report.output(), receipt)
    return { report, output: { ...output, failed: report.failed } }
  } finally {
    progress.end()
    await written?.close()
  }
}

async function* readLines(
  bytes: Bytes,
  layout: Layout,
  { surroundings, ignored, report }: Run & { readonly report: ImportReport },
): AsyncGenerator<ImportLine> {
  for await (const row of readRows(bytes, layout, ignored)) {
    if ('problem' in row) {
      yield row
      if (row.stops === true) report.stop(`at line ${row.line}`)
      continue
    }
    const read = readImportedCredential(Object.fromEntries(row.cells), surroundings)
    const { line } = row
    yield read.ok ? { line, credential: read.value } : { line, problem: read.problem }
  }
}

function openInput(file: string, { longRun }: CommandContext): Readable {
  return file === '-' ? longRun.standardInput() : createReadStream(file)
}

/** Ends with an error when it is interrupted: what was read last may be half a line, and half a token. */
async function* until(interrupted: AbortSignal, input: Readable): AsyncGenerator<Uint8Array> {
  const stop = () => input.destroy(new Error('interrupted'))
  interrupted.addEventListener('abort', stop, { once: true })
  try {
    interrupted.throwIfAborted()
    yield* input
  } finally {
    interrupted.removeEventListener('abort', stop)
  }
}

/** Says of a fault what it was about, and what has been done by then. */
async function fromFile<T>(source: string, work: Promise<T>, report?: ImportReport): Promise<T> {
  try {
    return await work
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const done = report === undefined ? '' : `\n${report.untilNow()}`
    throw new CommandFailed(`${source}: ${reason}${done}`)
  }
}

function sizeOf(file: string): number | undefined {
  if (file === '-') return undefined
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat?.isFile() ? stat.size : undefined
}

function isSameFile(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b)
  } catch {
    // One of them is not there.
    return false
  }
}

function textsOf(value: CommandContext['values'][string]): string[] {
  return Array.isArray(value) ? value.map(String) : []
}

function isFormat(text: string): text is Format {
  return (formats as readonly string[]).includes(text)
}
