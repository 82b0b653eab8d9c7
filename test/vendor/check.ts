import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { answersFile, type SeenAnswer } from '../helpers/answer-log.ts'
import { type Divergence, divergences } from './divergences.ts'
import { type Difference, readVendorDescription } from './vendor-description.ts'

/**
 * Holds the answers that the tests see against the vendor's OpenAPI description, which is not ours to copy:
 *
 *     git clone https://github.com/mailtrap/mailtrap-openapi ../mailtrap-openapi
 *     npm run check-vendor-api -- ../mailtrap-openapi/specs/*.yml
 *
 * What differs on purpose stands in `divergences.ts`, each with its row of docs/divergences.md. Anything else fails, and
 * so does a divergence that no answer shows.
 */

/** The tests that call both planes, and the Email API of `postern dev`, as clients do. */
const tests = [
  ...['test/admin', 'test/http', 'test/conformance', 'test/sink'],
  'test/e2e/domain-proof.test.ts',
]

const paths = process.argv.slice(2)
if (paths.length === 0) {
  console.error('Name the files of the description: npm run check-vendor-api -- FILE…')
  process.exit(2)
}
const description = readVendorDescription(paths.map((path) => parse(readFileSync(path, 'utf8'))))
// Who asks for more than the vendor has gets more.
const answers = runTests().filter(({ path }) => !path.includes('view=full'))
const described = Map.groupBy(answers, (answer) => description.operationOf(answer))
const beyond = described.get(undefined)?.length ?? 0
const found = new Map<string, { readonly difference: Difference; readonly example: SeenAnswer }>()
for (const example of answers) {
  for (const difference of description.differences(example)) {
    found.set(JSON.stringify(difference), { difference, example })
  }
}
const shown = new Set<Divergence>()
let failed = false
for (const { difference, example } of found.values()) {
  const known = divergences.find((one) => isAbout(one, difference))
  if (known !== undefined) {
    shown.add(known)
    continue
  }
  failed = true
  console.error(`${difference.answer}: ${difference.says}\n  ${example.path} ${example.text}`)
}
for (const { row } of divergences.filter((one) => !shown.has(one))) {
  failed = true
  console.error(`No answer differs any more where docs/divergences.md says: ${row}`)
}
const operations = [...described.keys()].filter((name) => name !== undefined)
console.log(
  `${answers.length - beyond} answers of ${operations.length} kinds were held against the description; ${beyond} more are to calls that it does not have.`,
)
process.exitCode = failed ? 1 : 0

function runTests(): SeenAnswer[] {
  const folder = mkdtempSync(join(tmpdir(), 'postern-answers-'))
  try {
    const file = join(folder, 'answers.jsonl')
    const { status } = spawnSync('vitest', ['run', ...tests], {
      env: { ...process.env, [answersFile]: file },
      stdio: 'inherit',
    })
    if (status !== 0) throw new Error('the tests failed')
    const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
    return lines.map((line) => JSON.parse(line))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function isAbout({ answers: pattern, says }: Divergence, difference: Difference): boolean {
  return pattern.test(difference.answer) && says.test(difference.says)
}
