import { loadavg } from 'node:os'

/** What one subject gave in one round, and how busy the machine was before. */
export interface Sample<T> {
  readonly subject: string
  readonly round: number
  readonly loadAverage: number
  readonly value: T
}

/**
 * Measures every subject once in each round, one after the other: whatever slows the machine down for a while slows down
 * all of them, and not the one whose turn it was.
 */
export async function inRounds<S extends { readonly name: string }, T>(
  rounds: number,
  subjects: readonly S[],
  measure: (subject: S, round: number) => Promise<T>,
): Promise<readonly Sample<T>[]> {
  const samples: Sample<T>[] = []
  for (let round = 0; round < rounds; round++) {
    const [loadAverage = 0] = loadavg()
    for (const subject of subjects) {
      const value = await measure(subject, round)
      samples.push({ subject: subject.name, round, loadAverage, value })
    }
  }
  return samples
}

/** One subject's figures, in the order of the rounds. */
export function figuresOf<T>(
  samples: readonly Sample<T>[],
  subject: string,
  figure: (value: T) => number,
): number[] {
  return samples
    .filter((sample) => sample.subject === subject)
    .toSorted((a, b) => a.round - b.round)
    .map(({ value }) => figure(value))
}
