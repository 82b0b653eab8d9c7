import type { Clock } from '../clock.ts'
import { type Credential, decide, type Principal } from '../core/decide.ts'
import type { Denial } from '../core/denial.ts'
import { areSameDomains } from '../core/domain.ts'
import type { DomainRecord } from '../core/grants.ts'
import { andThen, isPromise, type MaybePromise } from '../core/maybe-promise.ts'
import type { Sighting } from '../core/sighting.ts'
import { type Digest, digestToken, isWellFormed } from '../core/token.ts'
import type { Answer, Lookup, Trust } from './ports/lookup.ts'
import type { PresentedToken, RecentTokens } from './ports/presented-token.ts'

/** Leave to send, as of now. */
export interface Clearance {
  readonly allowed: true
  readonly principal: Principal
  /**
   * Whether it may still be acted on. To be asked after the last `await`, in the turn of the event loop in which the last
   * byte goes out; if not, ask `authorise` again, which says why.
   */
  stillHolds(): boolean
}

export type Verdict = Clearance | Denial

/** The gate cannot know: its lease is over, or what it reads keeps changing. Never a denial. */
export class Undecided extends Error {
  override name = 'Undecided'
}

/** The one way in: both traffic edges ask here, and nowhere else. */
export interface Authenticator {
  /** Reads a bearer token as presented. Unproven: it still has to be asked about. Undefined: no token has that form. */
  present(bearerToken: string): PresentedToken | undefined
  /** Whether the answer is at hand, so that to ask costs nothing. */
  knows(token: PresentedToken): boolean
  /**
   * May the holder of this token send as every one of these domains (A-labels), now? Without domains: is it alive?
   * At once when all of it is in memory. Throws, or rejects, when the gate cannot find out, which is never a denial.
   * The token's last clearance is the answer where it was for the same domains and still holds. Without `trust` nobody hears of
   * changes, and the store is asked.
   */
  authorise(token: PresentedToken, senders: readonly string[]): MaybePromise<Verdict>
  /** The same, each domain by itself and in its order, from one reading of the credential. Of several nothing is remembered. */
  authoriseEach(token: PresentedToken, senders: readonly string[]): MaybePromise<readonly Verdict[]>
}

export interface AuthenticatorDeps {
  readonly lookup: Lookup
  /** Left out when every question goes to the store, whose answer needs nobody's confirmation. */
  readonly trust?: Trust
  /** Left out: nothing is remembered from one presentation to the next. */
  readonly recentTokens?: RecentTokens
  readonly clock: Pick<Clock, 'now'>
  readonly tokenPrefix: string
}

/** What a decision is made of. */
interface Facts {
  readonly credential: Sighting<Credential>
  readonly domains: readonly Sighting<DomainRecord>[]
}

/** So often at least the records behind a clearance are looked up, so that they stay among those that were used lately. */
const periodMs = 10_000

/** Records that changed while they were read are read again, three times. */
const maxReadings = 4

/** For an answer of this moment. Whether it has changed since, only the store can say. */
const trustTheStore: Trust = { mayDecide: () => true, believes: () => true }

const forgetful: RecentTokens = { find: () => undefined, keep() {} }

export function createAuthenticator({
  lookup,
  trust = trustTheStore,
  recentTokens = forgetful,
  clock,
  tokenPrefix,
}: AuthenticatorDeps): Authenticator {
  function find(digest: Digest, names: readonly string[]): MaybePromise<Facts> {
    const credential = lookup.findCredential(digest)
    const domains = names.map((name) => lookup.findDomain(name))
    if (domains.every(isAtHand)) {
      if (isAtHand(credential)) return { credential, domains }
      // The usual miss: many tokens have one domain.
      return andThen(credential, (found) => ({ credential: found, domains }))
    }
    return Promise.all([credential, ...domains]).then(([first, ...rest]) => ({
      credential: first as Sighting<Credential>,
      domains: rest as Sighting<DomainRecord>[],
    }))
  }

  /** Each answers for itself: a grant on a domain that is gone means nothing, since ids are never given twice. */
  function areBelieved({ credential, domains }: Facts): boolean {
    return trust.believes(credential) && domains.every(trust.believes)
  }

  function requireLease() {
    if (!trust.mayDecide())
      throw new Undecided('this node has no lease: it may not know every change')
  }

  /** Judges what was found in the turn in which it decides on it, and reads again what is no longer true. */
  function decideOnBelieved<V>(
    digest: Digest,
    names: readonly string[],
    verdict: (facts: Facts) => V,
  ): MaybePromise<V> {
    // First of all, so that a node that lost the store does not ask it once more for every message.
    requireLease()
    const facts = find(digest, names)
    if (!isPromise(facts) && areBelieved(facts)) return verdict(facts)
    return decideOnceBelieved(digest, names, verdict, facts)
  }

  async function decideOnceBelieved<V>(
    digest: Digest,
    names: readonly string[],
    verdict: (facts: Facts) => V,
    first: MaybePromise<Facts>,
  ): Promise<V> {
    let found = await first
    for (let reading = 1; ; reading++) {
      requireLease()
      if (areBelieved(found)) return verdict(found)
      if (reading === maxReadings) throw new Undecided('the records keep changing')
      found = await find(digest, names)
    }
  }

  function judge(names: readonly string[], facts: Facts): Verdict {
    const { credential, domains } = facts
    const senders = names.map((name, i) => ({ name, record: domains[i]?.value }))
    const decision = decide(credential.value, senders, clock.now())
    if (!decision.allowed) return decision
    const { principal } = decision
    const { endsAt } = principal
    return {
      allowed: true,
      principal,
      // Of these facts and the clock alone `decide` has made it: while they are believed, only the token's end can change it.
      stillHolds: () =>
        trust.mayDecide() && areBelieved(facts) && (endsAt === null || clock.now() < endsAt),
    }
  }

  const hearsOfChanges = trust !== trustTheStore
  const holdsCredential = (digest: Digest) => lookup.holdsCredential?.(digest) ?? false

  /** If it answers this question and still holds. Without domains any does: who may send is alive. */
  function lastClearance(token: PresentedToken, senders: readonly string[]): Clearance | undefined {
    const { clearance, clearedFor, clearedIn } = token
    if (clearance === undefined || clearedIn !== periodOf(clock.now())) return undefined
    const answers = senders.length === 0 || areSameDomains(senders, clearedFor)
    return answers && clearance.stillHolds() ? clearance : undefined
  }

  /** Leave to send, which answers both questions. Without `trust` nobody would hear that it ends. */
  function remember(token: PresentedToken, senders: readonly string[], verdict: Verdict): Verdict {
    if (!verdict.allowed) token.clearance = undefined
    else if (senders.length > 0 && hearsOfChanges) {
      if (token.clearance === undefined) recentTokens.keep(token)
      token.clearance = verdict
      token.clearedFor = [...senders]
      token.clearedIn = periodOf(clock.now())
    }
    return verdict
  }

  function authorise(token: PresentedToken, senders: readonly string[]): MaybePromise<Verdict> {
    const conclude = (facts: Facts) => remember(token, senders, judge(senders, facts))
    return lastClearance(token, senders) ?? decideOnBelieved(token.digest, senders, conclude)
  }

  return {
    present(bearerToken) {
      const digest = digestToken(bearerToken)
      const recent = recentTokens.find(digest)
      if (recent !== undefined) return recent
      const mayBeOne = holdsCredential(digest) || isWellFormed(bearerToken, tokenPrefix)
      return mayBeOne ? presentedToken(digest) : undefined
    },

    knows: (token) => lastClearance(token, []) !== undefined || holdsCredential(token.digest),

    authorise,

    authoriseEach(token, senders) {
      // Nearly always there is one, and a set costs as much as all of its check.
      const names = senders.length === 1 ? senders : [...new Set(senders)]
      if (names.length === 1) {
        return andThen(authorise(token, names), (verdict) => senders.map(() => verdict))
      }
      return decideOnBelieved(token.digest, names, ({ credential, domains }) => {
        const verdicts = new Map(
          names.map((name, i) => [
            name,
            judge([name], { credential, domains: domains.slice(i, i + 1) }),
          ]),
        )
        return senders.flatMap((name) => verdicts.get(name) ?? [])
      })
    },
  }
}

function periodOf(at: number): number {
  return Math.floor(at / periodMs)
}

/** Nothing is known of it yet. */
export function presentedToken(digest: Digest): PresentedToken {
  return { digest, clearance: undefined, clearedFor: [], clearedIn: 0, assertion: undefined }
}

function isAtHand<T>(answer: Answer<T>): answer is Sighting<T> {
  return !isPromise(answer)
}
