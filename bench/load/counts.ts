/** How often each answer came: HTTP status or SMTP reply code. */
export type Counts = Record<number, number>

export function count(counts: Counts, answer: number) {
  counts[answer] = (counts[answer] ?? 0) + 1
}

export function totalOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, each) => sum + each, 0)
}

/** Answers that were not asked for. A fast refusal must never count as a fast acceptance, so that a run with one fails. */
export class WrongAnswers extends Error {
  override name = 'WrongAnswers'
}

/** Every answer is the expected one, and there is one at least; answers how many. */
export function expectOnly(expected: number, counts: Counts, subject: string): number {
  const { [expected]: right = 0, ...wrong } = counts
  if (right > 0 && Object.keys(wrong).length === 0) return right
  throw new WrongAnswers(
    `${subject}: expected ${expected} and nothing else, and got ${JSON.stringify(counts)} (0: no answer)`,
  )
}

/** What was accepted reached the upstream, each once. */
export function expectSame(accepted: number, arrived: number, subject: string) {
  if (accepted === arrived) return
  throw new WrongAnswers(
    `${subject}: ${accepted} were accepted and ${arrived} reached the upstream`,
  )
}
