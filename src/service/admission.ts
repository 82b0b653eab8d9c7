import type { Denial } from '../core/denial.ts'
import type { Digest } from '../core/token.ts'
import type { Authenticator, Verdict } from './authenticate.ts'
import type { AuthFailures, Turnstile } from './ports.ts'

/** The first question about a credential: is it alive? And does this client fail too often? */
export interface Admission {
  /**
   * A live token is let in also when the client's budget of failures is spent. Throws, or rejects, when the gate cannot
   * find out.
   */
  admit(digest: Digest, remoteAddress: string): Verdict | Promise<Verdict>
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

  function judged(verdict: Verdict, remoteAddress: string): Verdict {
    return verdict.allowed ? verdict : fail(verdict, remoteAddress)
  }

  return {
    fail,
    admit(digest, remoteAddress) {
      const ask = () => authenticator.authorise(digest, [])
      const waitMs = failures.waitMs(remoteAddress)
      // What is at hand costs nothing, so that no flood keeps out a client that the gate knows.
      const answer = waitMs === 0 || authenticator.knows(digest) ? ask() : turnstile.pass(ask)
      if (answer === undefined) return { allowed: false, reason: 'too-many-failures', waitMs }
      if ('then' in answer) return answer.then((verdict) => judged(verdict, remoteAddress))
      return judged(answer, remoteAddress)
    },
  }
}
