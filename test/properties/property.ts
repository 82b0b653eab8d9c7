import { readFileSync, writeFileSync } from 'node:fs'
import fc from 'fast-check'
import { test } from 'vitest'

/**
 * Guarantees for every input of a kind. Each is tried with some inputs among the tests, and as long as one likes by
 * `npm run fuzz`. An input that broke one stays in kept-cases.json, and is tried first from then on.
 */
export interface Trial<T> {
  /** How many inputs the tests try. */
  readonly runs: number
  /** Of JSON values only, so that one that matters can be kept. */
  readonly input: fc.Arbitrary<T>
}

interface KeptCase {
  readonly guarantee: string
  /** What went wrong with it. */
  readonly about: string
  readonly input: unknown
}

const keptFile = 'test/properties/kept-cases.json'
/** How long an answer over the network may take before it counts as a hang; far above any. */
const hangMs = 10_000

/** Rejects when the answer does not come: a hang would otherwise be nobody's. */
export async function inTime<T>(answer: Promise<T>, of: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer in ${hangMs} ms: ${of}`)), hangMs)
  })
  try {
    return await Promise.race([answer, hang])
  } finally {
    clearTimeout(timer)
  }
}

export function readKeptCases(): readonly KeptCase[] {
  return JSON.parse(readFileSync(keptFile, 'utf8'))
}

/** What `npm run fuzz` asks for; undefined among the tests. */
function readLongForm() {
  const { POSTERN_FUZZ_MS: ms, POSTERN_FUZZ_SEED: seed } = process.env
  return ms === undefined ? undefined : { ms: Number(ms), seed: Number(seed) }
}

/** Registers a test: `holds` throws for an input for which the guarantee does not hold. */
export function guarantee<T>(
  name: string,
  { runs, input }: Trial<T>,
  holds: (input: T) => void | Promise<void>,
) {
  const longForm = readLongForm()
  test(name, { timeout: (longForm?.ms ?? 0) + 120_000 }, async () => {
    const kept = readKeptCases().filter((one) => one.guarantee === name)
    const details = await fc.check(
      fc.asyncProperty(input, async (one) => holds(one)),
      {
        examples: kept.map((one): [T] => [one.input as T]),
        ...(longForm === undefined
          ? { numRuns: runs + kept.length }
          : {
              numRuns: Number.MAX_SAFE_INTEGER,
              seed: longForm.seed,
              interruptAfterTimeLimit: longForm.ms,
            }),
      },
    )
    if (longForm !== undefined) console.log(`${details.numRuns} inputs: ${name}`)
    if (!details.failed) return
    if (longForm !== undefined && details.counterexample !== null) {
      keep({
        guarantee: name,
        about: `found with seed ${details.seed}: ${String(details.errorInstance)}`,
        input: details.counterexample[0],
      })
    }
    throw new Error(fc.defaultReportMessage(details), { cause: details.errorInstance })
  })
}

function keep(found: KeptCase) {
  const known = readKeptCases()
  if (known.some(({ input }) => JSON.stringify(input) === JSON.stringify(found.input))) return
  writeFileSync(keptFile, `${JSON.stringify([...known, found], null, 2)}\n`)
}

/** The bytes in pieces, cut at places that the numbers choose. */
export function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const inside = places.map((place) => place % (bytes.length + 1))
  const at = [...new Set([0, ...inside, bytes.length])].sort((a, b) => a - b)
  return at.slice(1).map((end, i) => bytes.subarray(at[i], end))
}

/** Where to cut: nowhere, in a few places, or after each byte of a short text. */
export const places = fc.oneof(
  fc.array(fc.nat(100_000), { maxLength: 8 }),
  fc.constant(Array.from({ length: 400 }, (_, i) => i)),
)
