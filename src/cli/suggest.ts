import { closestMatch } from 'leven'

/** Further apart, two words are not one with a slip of the finger. */
const maxDistance = 3

/** What a mistyped word was meant to be, as the end of a sentence; empty where nothing is near. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = closestMatch(word, candidates, {
    maxDistance: Math.min(maxDistance, word.length - 1),
  })
  return near === undefined ? '' : `: did you mean "${near}"?`
}
