import type { Denial } from '../core/denial.ts'
import { andThen, type MaybePromise } from '../core/maybe-promise.ts'
import type { Authenticator, Verdict } from './authenticate.ts'
import type { AuthFailures, Turnstile } from './ports/limits.ts'
import type { PresentedToken } from './ports/presented-token.ts'

/** The first question about a credential: is it alive? And does this client fail too often? */
export interface Admission {
  /**
   * A live token is let in also when the client's budget of failures is spent. Throws, or rejects, when the gate cannot
   * find out.
   */
  admit(token: PresentedToken, remoteAddress: string): MaybePromise<Verdict>
  /** Counts a denial that needed no question, and answers what the client is to be told. */
  fail(denial: Denial, remoteAddress: string): Denial
}

export interface AdmissionDeps {
  readonly authenticator: Pick<Authenticator, 'authorise' | 'knows'>
  /** Left out: everybody may fail as often as they like. */
  readonly failures?: AuthFailures | undefined
  /** Where clients whose budget is spent wait for a question that costs something. */
  readonly turnstile?: Turnstile | undefined
}

/** Whose token nobody could ask about may have a live one: it may come back as soon as the line has moved on. */
const fullLineWaitMs = 1_000

const unlimited: AuthFailures = { waitMs: () => 0, add: () => 0 }
const open: Turnstile = { pass: async (work) => work() }

export function createAdmission({
  authenticator,
  failures = unlimited,
  turnstile = open,
}: AdmissionDeps): Admission {
  function fail(denial: Denial, remoteAddress: string): Denial {
    const waitMs = failures.waitMs(remoteAddress)
    if (waitMs > 0) return { ...denial, reason: 'too-many-failures', waitMs }
    return { ...denial, failures: failures.add(remoteAddress) }
  }

  return {
    fail,
    admit(token, remoteAddress) {
      const ask = () => authenticator.authorise(token, [])
      const isSpent = failures.waitMs(remoteAddress) > 0
      // What is at hand costs nothing, so that no flood keeps out a client that the gate knows.
      const answer = isSpent && !authenticator.knows(token) ? turnstile.pass(ask) : ask()
      if (answer === undefined) {
        return { allowed: false, reason: 'too-many-failures', waitMs: fullLineWaitMs }
      }
      return andThen(answer, (verdict) =>
        verdict.allowed ? verdict : fail(verdict, remoteAddress),
      )
    },
  }
}
