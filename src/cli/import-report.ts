import type { LineOutcome } from '../service/import-tokens.ts'
import type { Layout } from './import-formats/format.ts'

/** So many are shown; --report has all of them. */
const shownProblems = { text: 20, json: 100 } as const
/** So many names are kept to be shown. */
const maxMissingDomains = 100

export type ImportReport = ReturnType<typeof createImportReport>

interface About {
  readonly accountId: number
  readonly source: string
  readonly trial: boolean
  readonly layout: Layout
  readonly guessed: boolean
  readonly ignored: readonly string[]
}

/** What has become of the lines so far, in memory that does not grow with them. */
export function createImportReport(about: About) {
  const { accountId, source, trial, layout, guessed, ignored } = about
  const counts = { imported: 0, already_there: 0, different: 0, refused: 0 }
  const problems: { line: number; problem: string }[] = []
  const missingDomains = new Set<string>()
  let stopped: string | null = null
  const isFailed = () => counts.refused + counts.different > 0 || stopped !== null
  const count = () => Object.values(counts).reduce((sum, one) => sum + one)

  function add(outcomes: readonly LineOutcome[]) {
    for (const outcome of outcomes) {
      counts[countedAs(outcome)] += 1
      const problem = problemOf(outcome)
      if (problem !== undefined && problems.length < shownProblems.json) {
        problems.push({ line: outcome.line, problem })
      }
      if (outcome.status === 'no-such-domain' && missingDomains.size < maxMissingDomains) {
        missingDomains.add(outcome.domain)
      }
    }
  }

  function lines(): string[] {
    const { imported, already_there, different, refused } = counts
    const guess = guessed ? ', as its first line looks' : ''
    const shown = problems.slice(0, shownProblems.text)
    const more = refused + different - shown.length
    return [
      `${trial ? 'Would import' : 'Imported'} ${imported} of ${count()} into account ${accountId}, from ${source} (${layout.format}${guess})`,
      ...(ignored.length === 0 ? [] : [`Left out: the columns ${ignored.join(', ')}`]),
      ...(already_there === 0 ? [] : [`Already there: ${already_there}`]),
      ...(different === 0 ? [] : [`There, and different: ${different}; they stay as they are`]),
      ...(refused === 0 ? [] : [`Refused: ${refused}`]),
      ...shown.map(({ line, problem }) => `  line ${line}: ${problem}`),
      ...(more > 0 ? [`  and ${more} more: --report FILE has all of them`] : []),
      ...(missingDomains.size === 0
        ? []
        : [`Missing domains, for "postern domain add": ${[...missingDomains].join(' ')}`]),
      ...(stopped === null ? [] : [`Stopped ${stopped}. ${onwards}`]),
    ]
  }

  return {
    add,
    count,
    /** Not all of the file is there as the file says. */
    get failed() {
      return isFailed()
    },
    stop(reason: string) {
      stopped ??= reason
    },
    untilNow: () => `${counts.imported} were imported until then. ${onwards}`,
    output: () => ({
      json: {
        account_id: accountId,
        format: layout.format,
        format_guessed: guessed,
        ignored_columns: ignored,
        dry_run: trial,
        lines: count(),
        ...counts,
        problems,
        missing_domains: [...missingDomains],
        stopped,
      },
      text: lines().join('\n'),
    }),
  }
}

const onwards = 'The same command again goes on from there'

/** A line of the report: where it stands, never what stands there. */
export function reportLine(outcome: LineOutcome): string {
  const { line } = outcome
  const id = 'tokenId' in outcome ? outcome.tokenId : undefined
  const problem = problemOf(outcome)
  const about = { line, outcome: countedAs(outcome), token_id: id, problem }
  return `${JSON.stringify(about)}\n`
}

function countedAs({ status }: LineOutcome) {
  switch (status) {
    case 'imported':
    case 'different':
      return status
    case 'already-there':
      return 'already_there'
    case 'no-such-domain':
    case 'of-another-account':
    case 'ended':
    case 'unreadable':
      return 'refused'
  }
}

/** Why it is not there as it stands in the file, as a sentence. */
function problemOf(outcome: LineOutcome): string | undefined {
  switch (outcome.status) {
    case 'imported':
    case 'already-there':
      return undefined
    case 'different': {
      const which =
        outcome.tokenId === undefined ? 'it stands here twice' : `it is token ${outcome.tokenId}`
      return `${which}, with other permissions or another expiry`
    }
    case 'no-such-domain':
      return `there is no domain ${outcome.domain} in this account`
    case 'of-another-account':
      return 'it is a token of another account already'
    case 'ended':
      return 'it was a token here and was deleted or has ended: that is final'
    case 'unreadable':
      return outcome.problem
  }
}
